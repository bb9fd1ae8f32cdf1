package wal

import (
	"encoding/binary"
	"hash/crc32"

	"chronik/internal/model"
)

// cleaned is what a round of compaction says of a segment that it has written, in the segment's identity. The segment has
// the number of the first of those that it stands for, so that a number belongs to one base offset for ever, and a
// generation, so that a file's name belongs to the same bytes for ever.
type cleaned struct {
	gen      uint32       // 0: the segment is as it was appended, and the rest is not set
	empty    bool         // no record is left
	through  int64        // number of the last segment that it stands for: others up to there are leftovers
	surveyed model.Offset // up to where the round knew the keys

	// The foot follows the last batch: the segment's own part of the offset index, and the aborted transactions that end in
	// the segment and still count.
	foot    int64 // its position
	entries uint32
	aborted uint32

	whole bool // in memory: the segment was not cut since
}

func (c *cleaned) encode(b []byte) {
	be := binary.BigEndian
	be.PutUint32(b[56:], c.gen)
	be.PutUint64(b[60:], uint64(c.through))
	be.PutUint64(b[68:], uint64(c.surveyed))
	be.PutUint64(b[76:], uint64(c.foot))
	be.PutUint32(b[84:], c.entries)
	be.PutUint32(b[88:], c.aborted)
}

func decodeCleaned(b []byte) cleaned {
	be := binary.BigEndian
	c := cleaned{gen: be.Uint32(b[56:])}
	if c.gen == 0 {
		return cleaned{}
	}
	c.empty = b[15]&identityEmpty != 0
	c.through, c.surveyed = int64(be.Uint64(b[60:])), model.Offset(be.Uint64(b[68:]))
	c.foot, c.entries, c.aborted = int64(be.Uint64(b[76:])), be.Uint32(b[84:]), be.Uint32(b[88:])
	return c
}

// abortedBytes is the size of an aborted transaction in a foot: the offset of its marker, zeros, a checksum.
const abortedBytes = 16

func (c *cleaned) footEnd() int64 {
	return c.foot + int64(c.entries)*entryBytes + int64(c.aborted)*abortedBytes
}

func appendAborted(dst []byte, marker model.Offset, seed uint32) []byte {
	be, from := binary.BigEndian, len(dst)
	dst = be.AppendUint64(dst, uint64(marker))
	dst = be.AppendUint32(dst, 0)
	return be.AppendUint32(dst, crc32.Update(seed, castagnoli, dst[from:]))
}

func decodeAborted(b []byte, seed uint32) (marker model.Offset, ok bool) {
	be := binary.BigEndian
	return model.Offset(be.Uint64(b)), be.Uint32(b[12:]) == crc32.Update(seed, castagnoli, b[:12])
}

// firstIndexed is the number of the first segment that has no index of its own.
func (c *core) firstIndexed() int64 {
	for _, s := range c.segs {
		if s.entries == 0 {
			return s.number
		}
	}
	return c.active().number
}

// uncleaned notes that a segment is cut: what a round of compaction said of it does not hold any more, and its foot goes.
func (c *core) uncleaned(s *segment) {
	if s.gen == 0 {
		return
	}
	s.whole, s.entries, s.aborted, s.empty = false, 0, 0, false
	c.index.broken = c.index.broken || c.index.count > 0 // it may have entries of what the segment was before
}

// findInFoot is findEntry for a segment with an index of its own.
func (l *Log) findInFoot(v *view, after func(indexEntry) bool) (indexEntry, bool) {
	f, err := l.segmentFile(v.file)
	if err != nil {
		return indexEntry{}, false
	}
	defer f.release()
	e, ok, err := l.searchFile(f, v.foot, v.entries, v.number, after)
	if err == nil {
		return e, ok
	}
	l.mu.Lock()
	for _, s := range l.core.segs {
		if s.file() == v.file {
			s.entries = 0 // the log's index takes it up
		}
	}
	l.mu.Unlock()
	l.indexBroken()
	return indexEntry{}, false
}
