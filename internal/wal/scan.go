package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"chronik/internal/record"
	"chronik/internal/vfs"
)

// scanChunk is how much a scan reads at a time: so little that a processor's own cache holds it until its checksum
// is taken, and so much that the calls do not count.
const scanChunk = 128 << 10

var scanBuffers = sync.Pool{New: func() any { b := make([]byte, scanChunk); return &b }}

// scanner walks the batches in a file from a batch boundary on. With verify, every byte is read and held
// against its checksum; without, bodies that lie outside of what was read anyway are skipped.
type scanner struct {
	f      vfs.File
	pos    int64 // of the next batch
	limit  int64 // bytes from here on do not exist
	verify bool
	chunk  int   // read-ahead, bytes; at least the size of a header
	enough int64 // position from which on there is no use in reading ahead; 0: there is none

	pooled *[]byte
	buf    []byte // what was read last
	at     int64  // its position in the file
}

// batchAt is one batch that a scan found. head is its header, and all of it if the batch is no larger
// than the scanner's chunk and was verified. It is valid until the next call.
type batchAt struct {
	pos  int64
	size int64
	head record.Batch
}

func newScanner(f vfs.File, pos, limit int64, verify bool) scanner {
	s := scanner{f: f, pos: pos, limit: limit, verify: verify, chunk: scanChunk}
	s.pooled = scanBuffers.Get().(*[]byte)
	return s
}

func (s *scanner) close() {
	scanBuffers.Put(s.pooled)
	s.pooled, s.buf = nil, nil
}

// errBadBatch is what next wraps when the bytes are not a valid batch. Any other error but io.EOF is one
// of reading.
var errBadBatch = errors.New("not a valid batch")

// next returns the next batch, io.EOF at the limit.
func (s *scanner) next() (batchAt, error) {
	if s.pos >= s.limit {
		return batchAt{}, io.EOF
	}
	head, err := s.window(s.pos, record.HeaderSize)
	if err != nil {
		return batchAt{}, err
	}
	size, err := record.SizeOf(head)
	if err == nil && (len(head) < record.HeaderSize || int64(size) > s.limit-s.pos) {
		err = fmt.Errorf("%w: its length is %d bytes, %d are there", record.ErrTruncated, size, s.limit-s.pos)
	}
	if err != nil {
		return batchAt{}, fmt.Errorf("%w: %w", errBadBatch, err)
	}
	found := batchAt{pos: s.pos, size: int64(size), head: record.Batch(head[:record.HeaderSize])}
	if s.verify {
		if found.head, err = s.check(size); err != nil {
			return batchAt{}, err
		}
	}
	s.pos += int64(size)
	return found, nil
}

// peek returns the header of what lies at another position, without checking anything but its framing.
func (s *scanner) peek(pos int64) (record.Batch, error) {
	head, err := s.window(pos, record.HeaderSize)
	if err != nil {
		return nil, err
	}
	if _, err := record.SizeOf(head); err != nil || len(head) < record.HeaderSize {
		return nil, fmt.Errorf("%w: at position %d", errBadBatch, pos)
	}
	return record.Batch(head[:record.HeaderSize]), nil
}

// check holds the batch at pos against its checksum and returns as much of it as is in the buffer.
func (s *scanner) check(size int) (record.Batch, error) {
	if size <= s.chunk {
		b, err := s.window(s.pos, size)
		if err != nil {
			return nil, err
		}
		if err := record.Batch(b[:size]).Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadBatch, err)
		}
		return record.Batch(b[:size]), nil
	}
	return s.checkPieces(int64(size))
}

// checkPieces is check for a batch larger than a chunk. It reads no further than the next batch's header, as a reader that
// takes large batches has seldom room for another one.
func (s *scanner) checkPieces(size int64) (record.Batch, error) {
	head := make(record.Batch, record.HeaderSize)
	b, err := s.window(s.pos, len(head))
	if err != nil {
		return nil, err
	}
	copy(head, b)
	const crcFrom = 21
	sum, from, end := uint32(0), s.pos+crcFrom, s.pos+size
	for from < end {
		if b = s.buffered(from); b == nil {
			if b, err = s.fill(from, min(int64(s.chunk), end+record.HeaderSize-from)); err != nil {
				return nil, err
			}
		}
		b = b[:min(int64(len(b)), end-from)]
		sum = crc32.Update(sum, castagnoli, b)
		from += int64(len(b))
	}
	if sum != head.CRC() {
		return nil, fmt.Errorf("%w: %w", errBadBatch, record.ErrCRC)
	}
	if n, last := head.RecordCount(), head.LastOffsetDelta(); !head.Codec().Valid() || n < 0 || last < 0 || int64(n) > int64(last)+1 {
		return nil, fmt.Errorf("%w: codec %d, %d records, last offset delta %d", errBadBatch, head.Codec(), n, last)
	}
	return head, nil
}

// window returns the bytes at pos: n of them, or fewer where the limit cuts them off, or more.
func (s *scanner) window(pos int64, n int) ([]byte, error) {
	want := min(int64(n), s.limit-pos)
	if b := s.buffered(pos); b != nil && int64(len(b)) >= want {
		return b, nil
	}
	ahead := int64(s.chunk)
	if s.enough > 0 {
		ahead = min(ahead, s.enough-pos)
	}
	return s.fill(pos, max(ahead, want))
}

// buffered returns what has been read from pos on, nil if that is nothing.
func (s *scanner) buffered(pos int64) []byte {
	if off := pos - s.at; off >= 0 && off < int64(len(s.buf)) {
		return s.buf[off:]
	}
	return nil
}

// fill reads n bytes at pos, or as many as there are before the limit.
func (s *scanner) fill(pos, n int64) ([]byte, error) {
	s.at = pos
	s.buf = (*s.pooled)[:min(n, s.limit-pos)]
	if _, err := s.f.ReadAt(s.buf, pos); err != nil {
		s.buf = nil
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file is shorter than it was
		}
		return nil, err
	}
	return s.buf, nil
}

// zeroUntil tells whether all bytes from pos up to the limit are zero.
func (s *scanner) zeroUntil(pos int64) (bool, error) {
	for pos < s.limit {
		b, err := s.window(pos, s.chunk)
		if err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
		pos += int64(len(b))
	}
	return true, nil
}
