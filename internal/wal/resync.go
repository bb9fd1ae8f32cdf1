package wal

import (
	"errors"
	"fmt"
	"io"

	"chronik/internal/vfs"
)

// resync makes durable what recovery accepted, which ends at size, and cuts the rest off (L1, L3).
//
// After a process that died without the power failing, all this may lie in the page cache only, and its
// last sync may have failed: then the kernel takes the pages for clean, and another sync saves nothing (D3).
// So whatever may not have been synced is written again: the header page with the mark, the batches past
// it, the zeros that end the last page; and the length changes. The directory may lack the file, if the
// process died while it made it (D6). None of it needs free space: the last block is there, or else a hole
// does.
func (r *recovery) resync(f *file, s *found, size int64) error {
	if s.size > size {
		if err := f.Truncate(size); err != nil {
			return err
		}
		s.size = size
	}
	pooled := scanBuffers.Get().(*[]byte)
	defer scanBuffers.Put(pooled)
	for at := s.mark.pos; at < size; {
		b := (*pooled)[:min(size-at, scanChunk)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	pageEnd := (size/headerBytes + 1) * headerBytes
	if _, err := f.WriteAt(zeros[:pageEnd-size], size); err == nil {
		s.size = pageEnd
	} else if !errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	r.l.space.frontier = s.size
	return r.rewriteHeader(f, s)
}

// rewriteHeader makes a header page durable, and with it the file's length, its name, and what was written to
// it before. That comes before other files are removed on the word of its mark.
func (r *recovery) rewriteHeader(f *file, s *found) error {
	if _, err := f.WriteAt(s.page, 0); err != nil {
		return err
	}
	s.size += headerBytes // a hole, which reads as zeros
	if err := f.Truncate(s.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	r.sure = true
	return r.l.fs.SyncDir(r.l.dir)
}

// readLast reads the header page of what is the last segment now, if that was not known when the headers were read.
func (r *recovery) readLast() error {
	if len(r.found) == 0 {
		return nil
	}
	s := &r.found[len(r.found)-1]
	if s.page != nil {
		return nil
	}
	return r.header(s, true)
}

// settleHeader makes the last segment's mark durable, on whose word files are about to be removed, and the names of the
// snapshot files that it counts on.
func (r *recovery) settleHeader() error {
	if len(r.found) == 0 {
		return nil
	}
	s := &r.found[len(r.found)-1]
	if s.err != nil || !s.marked {
		return nil
	}
	f, err := r.l.segmentFile(s.file)
	if err != nil {
		return err
	}
	defer f.release()
	return r.rewriteHeader(f, s)
}

// measure finds out what the lost marks of sealed segments have said. A sealed file ends where its data does.
func (r *recovery) measure() error {
	for i, s := range r.c.segs[:len(r.c.segs)-1] {
		if r.found[i].err != nil || r.found[i].marked {
			continue
		}
		f, err := r.l.segmentFile(s.file())
		if err != nil {
			return err
		}
		err = r.measureSegment(f, s)
		f.release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) measureSegment(f *file, s *segment) error {
	scan := newScanner(f, headerBytes, s.size, false)
	defer scan.close()
	end := s.base
	for {
		b, err := scan.next()
		if err == io.EOF && end == s.end {
			return nil
		}
		if err == io.EOF {
			err = fmt.Errorf("%w: the bytes end at offset %d, the next segment begins at %d", errBadBatch, end, s.end)
		}
		if errors.Is(err, errBadBatch) {
			r.corrupt(s, end, err)
			return nil
		}
		if err != nil {
			return err
		}
		s.stats.add(b.head.BaseOffset(), timeOf(b.head))
		end = b.head.LastOffset() + 1
	}
}
