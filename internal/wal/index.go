package wal

import (
	"encoding/binary"
	"hash/crc32"
	"sort"

	"chronik/internal/model"
)

// indexName is the index's file name. It covers all segments of the partition, see docs/format/offset_index.md.
const indexName = "offset_index"

// entryBytes is the size of an index entry on disk.
const entryBytes = 32

// indexEntry says that the batch with a base offset begins at a position of a segment, and what the
// greatest timestamp of that segment is up to and including this batch.
type indexEntry struct {
	offset model.Offset
	maxTs  int64
	number uint32 // of the segment
	pos    uint32
}

// indexSeed makes an entry of another partition's index fail its checksum.
func indexSeed(id model.TopicID, partition int32) uint32 {
	var b [24]byte
	copy(b[:], id[:])
	binary.BigEndian.PutUint32(b[16:], uint32(partition))
	binary.BigEndian.PutUint32(b[20:], 1) // format version
	return crc32.Checksum(b[:], castagnoli)
}

func (e *indexEntry) append(dst []byte, seed uint32) []byte {
	be, from := binary.BigEndian, len(dst)
	dst = be.AppendUint64(dst, uint64(e.offset))
	dst = be.AppendUint64(dst, uint64(e.maxTs))
	dst = be.AppendUint32(dst, e.number)
	dst = be.AppendUint32(dst, e.pos)
	dst = be.AppendUint32(dst, 0)
	return be.AppendUint32(dst, crc32.Update(seed, castagnoli, dst[from:]))
}

func decodeEntry(b []byte, seed uint32) (indexEntry, bool) {
	be := binary.BigEndian
	if be.Uint32(b[28:]) != crc32.Update(seed, castagnoli, b[:28]) {
		return indexEntry{}, false
	}
	e := indexEntry{
		offset: model.Offset(be.Uint64(b)), maxTs: int64(be.Uint64(b[8:])),
		number: be.Uint32(b[16:]), pos: be.Uint32(b[20:]),
	}
	return e, e.pos >= headerBytes && e.offset >= 0
}

// index is what memory holds of the offset index: the entries that are not in the file yet. It is part of
// the core and guarded like it.
type index struct {
	tail    []indexEntry
	count   int64 // entries in the file
	dirty   bool  // some of those are not synced
	deleted bool  // segments were deleted since the index was looked at
	broken  bool  // the file is not to be believed, and must be rebuilt
	lastPos int64 // of the last entry of the active segment; 0: it has none
}

func (x *index) add(e indexEntry) {
	x.tail = append(x.tail, e)
	x.lastPos = int64(e.pos)
}

// cutTail forgets the entries at end and above, none of which is in the file.
func (x *index) cutTail(end model.Offset) {
	n := len(x.tail)
	for n > 0 && x.tail[n-1].offset >= end {
		n--
	}
	if n < len(x.tail) {
		x.tail = x.tail[:n]
		x.lastPos = 0 // the next batch gets an entry
	}
}

// before returns the last of the tail's entries for a segment at which less does not hold, false if the
// tail has none: then the file may have one.
func (x *index) before(number int64, less func(indexEntry) bool) (indexEntry, bool) {
	i := sort.Search(len(x.tail), func(i int) bool {
		e := x.tail[i]
		return int64(e.number) > number || int64(e.number) == number && less(e)
	})
	if i == 0 || int64(x.tail[i-1].number) != number {
		return indexEntry{}, false
	}
	return x.tail[i-1], true
}
