package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Layout of a half, see docs/format/journal.md. Integers are big-endian.
const (
	pageBytes = 4096

	lapBytes = vfs.SectorSize // a lap's header; it is there twice, in the first page
	lapCRC   = lapBytes - 4
	lapEvery = pageBytes / 2 // from one copy to the other

	headBytes  = 64 // of a record
	headCRC    = headBytes - 4
	entryFixed = 42

	formatVersion = 1
)

var (
	lapMagic    = [8]byte{'C', 'H', 'R', 'O', 'N', 'L', 'A', 'P'}
	recordMagic = [8]byte{'C', 'H', 'R', 'O', 'N', 'R', 'E', 'C'}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// errVersion: the journal was written by a version of Chronik that this one does not know.
var errVersion = errors.New("journal of an unknown format version")

// lapHeader is what a half says of the lap that it holds. It is synced before the lap's first record.
type lapHeader struct {
	gen      uint64 // from 1; odd ones lie in one half, even ones in the other
	secret   uint32 // seeds the checksums of the lap's records
	firstSeq uint64 // of the lap's first record
	lastVoid uint64 // sequence number of the last void record before the lap; 0: there was none
}

// encode fills a half's first page. There are two copies, so that one bad sector costs nothing. If a begin is cut short and both
// are torn, no lap is found; the one before was free.
func (h *lapHeader) encode(page []byte) {
	clear(page[:pageBytes])
	b := page[:lapBytes]
	be := binary.BigEndian
	copy(b, lapMagic[:])
	be.PutUint32(b[8:], formatVersion)
	be.PutUint32(b[12:], h.secret)
	be.PutUint64(b[16:], h.gen)
	be.PutUint64(b[24:], h.firstSeq)
	be.PutUint64(b[32:], h.lastVoid)
	be.PutUint32(b[lapCRC:], crc32.Checksum(b[:lapCRC], castagnoli))
	copy(page[lapEvery:], b)
}

// decodeLap reads the header of a half; ok is false if there is none.
func decodeLap(half []byte) (best lapHeader, ok bool, err error) {
	be := binary.BigEndian
	for at := 0; at < pageBytes && at+lapBytes <= len(half); at += lapEvery {
		b := half[at : at+lapBytes]
		if [8]byte(b[:8]) != lapMagic || be.Uint32(b[lapCRC:]) != crc32.Checksum(b[:lapCRC], castagnoli) {
			continue
		}
		if v := be.Uint32(b[8:]); v != formatVersion {
			return lapHeader{}, false, fmt.Errorf("%w: %d, this build reads %d; start the version that wrote it, or upgrade", errVersion, v, formatVersion)
		}
		h := lapHeader{secret: be.Uint32(b[12:]), gen: be.Uint64(b[16:]), firstSeq: be.Uint64(b[24:]), lastVoid: be.Uint64(b[32:])}
		if !ok || h.gen > best.gen {
			best, ok = h, true
		}
	}
	return best, ok, nil
}

// Key names a log: the same directory may belong to another topic later.
type Key struct {
	Dir       string // below the journal's root
	TopicID   model.TopicID
	Partition int32
}

// MaxDir is how long a log's directory may be.
const MaxDir = math.MaxUint16

// Range is bytes of a segment: to be added, or found.
type Range struct {
	Key
	Segment int64    // number
	Pos     int64    // in the segment's file
	Bufs    [][]byte // the bytes, one piece after the other
}

// Len is the number of bytes.
func (r *Range) Len() (n int64) {
	for _, b := range r.Bufs {
		n += int64(len(b))
	}
	return n
}

// Kinds of records.
const (
	kindRanges = 1 // bytes of segments
	kindVoid   = 2 // what earlier records hold of these logs no longer counts
)

// recordHead is the beginning of a record. Its table and the bytes of its ranges follow.
type recordHead struct {
	kind     uint32
	gen      uint64
	seq      uint64
	lastVoid uint64 // the last void record before this one; 0: there was none
	entries  uint32
	table    uint32 // bytes
	payload  uint32 // bytes
	bodySum  uint32 // of table and payload, seeded with the lap's secret
}

func (h *recordHead) size() int64 { return headBytes + int64(h.table) + int64(h.payload) }

// pages is a record's size on disk.
func pages(n int64) int64 { return (n + pageBytes - 1) / pageBytes * pageBytes }

func (h *recordHead) encode(b []byte, secret uint32) {
	clear(b[:headBytes])
	be := binary.BigEndian
	copy(b, recordMagic[:])
	be.PutUint64(b[8:], h.gen)
	be.PutUint64(b[16:], h.seq)
	be.PutUint64(b[24:], h.lastVoid)
	be.PutUint32(b[32:], h.kind)
	be.PutUint32(b[36:], h.entries)
	be.PutUint32(b[40:], h.table)
	be.PutUint32(b[44:], h.payload)
	be.PutUint32(b[48:], h.bodySum)
	be.PutUint32(b[headCRC:], crc32.Update(secret, castagnoli, b[:headCRC]))
}

// decodeHead reads the beginning of a record of a lap; false if there is none.
func decodeHead(b []byte, lap *lapHeader) (recordHead, bool) {
	be := binary.BigEndian
	if len(b) < headBytes || [8]byte(b[:8]) != recordMagic || be.Uint32(b[headCRC:]) != crc32.Update(lap.secret, castagnoli, b[:headCRC]) {
		return recordHead{}, false
	}
	h := recordHead{
		gen: be.Uint64(b[8:]), seq: be.Uint64(b[16:]), lastVoid: be.Uint64(b[24:]), kind: be.Uint32(b[32:]),
		entries: be.Uint32(b[36:]), table: be.Uint32(b[40:]), payload: be.Uint32(b[44:]), bodySum: be.Uint32(b[48:]),
	}
	return h, h.gen == lap.gen
}

// appendEntry adds a range, or a log, to a record's table.
func appendEntry(b []byte, r *Range) []byte {
	be := binary.BigEndian
	b = append(b, r.TopicID[:]...)
	b = be.AppendUint32(b, uint32(r.Partition))
	b = be.AppendUint64(b, uint64(r.Segment))
	b = be.AppendUint64(b, uint64(r.Pos))
	b = be.AppendUint32(b, uint32(r.Len()))
	b = be.AppendUint16(b, uint16(len(r.Dir)))
	return append(b, r.Dir...)
}

// decodeBody reads what a record holds; false if it is not what was written. The ranges alias body.
func decodeBody(h *recordHead, body []byte, secret uint32) ([]Range, bool) {
	if crc32.Update(secret, castagnoli, body) != h.bodySum {
		return nil, false
	}
	table, payload := body[:h.table], body[h.table:]
	ranges := make([]Range, 0, min(h.entries, uint32(len(table)/entryFixed)))
	be := binary.BigEndian
	for range h.entries {
		if len(table) < entryFixed {
			return nil, false
		}
		n, dir := int64(be.Uint32(table[36:])), int(be.Uint16(table[40:]))
		if len(table) < entryFixed+dir || n > int64(len(payload)) {
			return nil, false
		}
		ranges = append(ranges, Range{
			Key: Key{
				TopicID: model.TopicID(table[:16]), Partition: int32(be.Uint32(table[16:])),
				Dir: string(table[entryFixed : entryFixed+dir]),
			},
			Segment: int64(be.Uint64(table[20:])), Pos: int64(be.Uint64(table[28:])), Bufs: [][]byte{payload[:n]},
		})
		table, payload = table[entryFixed+dir:], payload[n:]
	}
	return ranges, len(table) == 0 && len(payload) == 0
}
