package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Layout of a segment file's header page, see docs/format/segment.md.
const (
	// headerBytes is where the first batch of a segment begins.
	headerBytes = 4096

	identityBytes = vfs.SectorSize
	identityCRC   = identityBytes - 4

	markSlots   = 2
	markBytes   = 3 * vfs.SectorSize
	markCRC     = markBytes - 4
	markFixed   = 80
	inlineBytes = markCRC - markFixed // room for derived state beside the mark

	formatVersion = 1
)

var segmentMagic = [8]byte{'C', 'H', 'R', 'O', 'N', 'S', 'E', 'G'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reasons why a header page is not believed.
var (
	errNoHeader      = errors.New("no segment header")
	errHeaderVersion = errors.New("segment of an unknown format version")
)

// identity is the first sector of a segment: who the file belongs to and where it stands. It is written
// once, and synced before the first append.
type identity struct {
	topicID   model.TopicID
	partition int32
	number    int64
	base      model.Offset
	epoch     model.LeaderEpoch // of the log's leader when the segment was begun
	first     bool              // the log begins here: segments with lower numbers are leftovers of a reset
	gaps      bool              // offsets may be missing between its batches
	cleaned
}

// Flags of an identity.
const (
	identityFirst = 1 << iota
	identityGaps
	identityEmpty
)

func (id *identity) flags() (f byte) {
	if id.first {
		f |= identityFirst
	}
	if id.gaps {
		f |= identityGaps
	}
	if id.empty {
		f |= identityEmpty
	}
	return f
}

func (id *identity) encode(b []byte) {
	clear(b[:identityBytes])
	be := binary.BigEndian
	copy(b, segmentMagic[:])
	be.PutUint32(b[8:], formatVersion)
	b[15] = id.flags()
	copy(b[16:32], id.topicID[:])
	be.PutUint32(b[32:], uint32(id.partition))
	be.PutUint32(b[36:], uint32(id.epoch))
	be.PutUint64(b[40:], uint64(id.number))
	be.PutUint64(b[48:], uint64(id.base))
	if id.gen > 0 {
		id.cleaned.encode(b)
	}
	be.PutUint32(b[identityCRC:], crc32.Checksum(b[:identityCRC], castagnoli))
}

// decodeIdentity checks and reads an identity sector. Errors wrap errNoHeader or errHeaderVersion.
func decodeIdentity(b []byte) (identity, error) {
	be := binary.BigEndian
	if len(b) < identityBytes || [8]byte(b[:8]) != segmentMagic ||
		be.Uint32(b[identityCRC:]) != crc32.Checksum(b[:identityCRC], castagnoli) {
		return identity{}, errNoHeader
	}
	if v := be.Uint32(b[8:]); v != formatVersion {
		return identity{}, fmt.Errorf("%w: %d, this build reads %d; start the version that wrote it, or upgrade", errHeaderVersion, v, formatVersion)
	}
	return identity{
		first:     b[15]&identityFirst != 0,
		gaps:      b[15]&identityGaps != 0,
		topicID:   model.TopicID(b[16:32]),
		partition: int32(be.Uint32(b[32:])),
		epoch:     model.LeaderEpoch(be.Uint32(b[36:])),
		number:    int64(be.Uint64(b[40:])),
		base:      model.Offset(be.Uint64(b[48:])),
		cleaned:   decodeCleaned(b),
	}, nil
}

// Flags of a mark.
const (
	markClean  = 1 << iota // the log was closed: nothing lies past the mark
	markSealed             // the segment is complete and cut to its data
	// markRedo: the mark was written by a truncation or a move of the log start. A process that died in the
	// middle may have left it, and what it did next, in the page cache only: recovery does it again.
	markRedo
	// markCleaned: compaction has written the segment, and it was not cut since.
	markCleaned
)

// Kinds of derived state that a mark carries, or says to be in a file of its own.
const (
	stateEpochs = iota
	stateProducers
	stateTxns
	stateKinds
)

// inFile stands for a state that did not fit into the mark.
const inFile = 0xffff

// mark says what is known to be durable in a segment (L2). It only ever claims what was synced before it
// was written. Its derived state is that of the log cut off at offset.
type mark struct {
	seq      uint64
	offset   model.Offset // synced end
	pos      int64        // where it lies in the file
	logStart model.Offset
	stats    stats // of the segment, up to offset
	flags    uint32
	used     int64              // highest number that a segment of the log has had; a truncation may have removed it
	inline   [stateKinds][]byte // snapshots; empty: there is nothing of that kind
	spilled  [stateKinds]bool   // the snapshot is in its own file
}

// encode fills one slot. Snapshots that do not fit must have been marked as spilled. seed is the checksum
// of the segment's identity: a mark of another file never passes.
func (m *mark) encode(b []byte, seed uint32) {
	clear(b[:markBytes])
	be := binary.BigEndian
	be.PutUint64(b[0:], m.seq)
	be.PutUint64(b[8:], uint64(m.offset))
	be.PutUint64(b[16:], uint64(m.pos))
	be.PutUint64(b[24:], uint64(m.logStart))
	be.PutUint64(b[32:], uint64(m.stats.firstTs))
	be.PutUint64(b[40:], uint64(m.stats.maxTs))
	be.PutUint64(b[48:], uint64(m.stats.maxTsAt))
	be.PutUint32(b[56:], m.flags)
	be.PutUint64(b[72:], uint64(m.used))
	at := markFixed
	for k := range stateKinds {
		n := len(m.inline[k])
		if m.spilled[k] {
			be.PutUint16(b[60+2*k:], inFile)
			continue
		}
		be.PutUint16(b[60+2*k:], uint16(n))
		at += copy(b[at:markCRC], m.inline[k])
	}
	be.PutUint32(b[markCRC:], crc32.Update(seed, castagnoli, b[:markCRC]))
}

// decodeMark reads one slot; false if it was never written or is torn. The snapshots alias b.
func decodeMark(b []byte, seed uint32) (mark, bool) {
	be := binary.BigEndian
	if len(b) < markBytes || be.Uint32(b[markCRC:]) != crc32.Update(seed, castagnoli, b[:markCRC]) {
		return mark{}, false
	}
	m := mark{
		seq:      be.Uint64(b[0:]),
		offset:   model.Offset(be.Uint64(b[8:])),
		pos:      int64(be.Uint64(b[16:])),
		logStart: model.Offset(be.Uint64(b[24:])),
		stats: stats{
			firstTs: int64(be.Uint64(b[32:])),
			maxTs:   int64(be.Uint64(b[40:])),
			maxTsAt: model.Offset(be.Uint64(b[48:])),
		},
		flags: be.Uint32(b[56:]),
		used:  int64(be.Uint64(b[72:])),
	}
	at := markFixed
	for k := range stateKinds {
		n := int(be.Uint16(b[60+2*k:]))
		if n == inFile {
			m.spilled[k] = true
			continue
		}
		if at+n > markCRC {
			return mark{}, false
		}
		m.inline[k] = b[at : at+n : at+n]
		at += n
	}
	return m, m.seq > 0 && m.pos >= headerBytes && m.offset >= 0
}

// markPos is where the slot of a sequence number lies in the file: the slots are written in turn, so that
// a torn write leaves the other one.
func markPos(seq uint64) int64 { return identityBytes + int64(seq%markSlots)*markBytes }

// identitySum is the checksum of an identity sector, the seed of its marks.
func identitySum(page []byte) uint32 { return binary.BigEndian.Uint32(page[identityCRC:]) }

// latestMark picks the newer valid mark of a header page.
func latestMark(page []byte) (mark, bool) {
	var best mark
	found := false
	for slot := range uint64(markSlots) {
		at := markPos(slot)
		if m, ok := decodeMark(page[at:at+markBytes], identitySum(page)); ok && m.seq%markSlots == slot && (!found || m.seq > best.seq) {
			best, found = m, true
		}
	}
	return best, found
}

// damagedMark tells whether a slot of a header page holds something that is no mark.
func damagedMark(page []byte) bool {
	for slot := range uint64(markSlots) {
		b := page[markPos(slot):][:markBytes]
		if m, ok := decodeMark(b, identitySum(page)); ok && m.seq%markSlots == slot {
			continue
		}
		if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			return true
		}
	}
	return false
}

// encodeHeader makes the header page of a new segment with its first mark.
func encodeHeader(id *identity, m *mark) []byte {
	page := make([]byte, headerBytes)
	id.encode(page)
	m.encode(page[markPos(m.seq):], identitySum(page))
	return page
}
