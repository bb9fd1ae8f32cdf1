package wal

import (
	"errors"
	"io"

	"chronik/internal/record"
)

// errEnough ends a walk.
var errEnough = errors.New("enough")

// walk visits the batches of a sealed segment, whole and checked as if they were to be served: what is damaged must not be written again
// with a checksum that holds (L2).
func (c *cleaning) walk(v *view, visit func(batchAt) error) error {
	l := c.log
	f, err := l.segmentFile(v.file)
	if err != nil {
		return err
	}
	defer f.release()
	s := newScanner(f, headerBytes, v.size, true)
	defer s.close()
	chk := checker{log: l, gaps: v.gaps, expect: v.base, end: v.end}
	var big []byte
	for paced := int64(headerBytes); ; {
		if s.pos >= paced {
			if err := c.pace(cleanPace); err != nil {
				return err
			}
			paced = s.pos + cleanPace
		}
		b, err := s.next()
		if err == nil {
			err = chk.check(b.head)
		}
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, errBadBatch) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &CorruptError{Segment: v.file, Pos: s.pos, Offset: chk.expect, Err: err}
		}
		if err != nil {
			return err
		}
		if int64(len(b.head)) < b.size { // larger than what is read at once, and checked in pieces
			if err := c.pace(b.size); err != nil {
				return err
			}
			if big, err = readBatch(f, &b, big); err != nil {
				return &CorruptError{Segment: v.file, Pos: b.pos, Offset: b.head.BaseOffset(), Err: err}
			}
		}
		if err := visit(b); err != nil {
			return err
		}
	}
}

// readBatch reads a whole batch, into buf if it has room, and checks it once more.
func readBatch(f *file, b *batchAt, buf []byte) ([]byte, error) {
	if int64(cap(buf)) < b.size {
		buf = make([]byte, b.size)
	}
	buf = buf[:b.size]
	if _, err := f.ReadAt(buf, b.pos); err != nil {
		return buf, err
	}
	b.head = record.Batch(buf)
	return buf, b.head.Check()
}
