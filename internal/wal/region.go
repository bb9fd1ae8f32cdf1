package wal

import (
	"fmt"
	"io"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Region is a range of whole batches in a segment file. It holds the file open, so that the bytes can be
// read even after retention has deleted the segment. It is for one goroutine, and must be released.
type Region struct {
	f    *file
	log  *Log
	gen  uint32
	pos  int64
	n    int64
	next model.Offset
}

// Len is the length in bytes.
func (r *Region) Len() int { return int(r.n) }

// Next is the offset after the last batch, where a reader goes on; of an empty region, the offset asked for.
func (r *Region) Next() model.Offset { return r.next }

// Release lets go of the file. The region is empty then.
func (r *Region) Release() {
	if r.f != nil {
		r.f.release()
	}
	r.f, r.n = nil, 0
}

// start is where the region begins, or would with a batch at pos.
func (r *Region) start(pos int64) int64 {
	if r.n > 0 {
		return r.pos
	}
	return pos
}

// WriteTo writes the batches to w in bounded pieces. It fails with ErrTruncated if the log was truncated
// since the Read.
func (r *Region) WriteTo(w io.Writer) (int64, error) {
	if r.n == 0 {
		return 0, nil
	}
	pooled := scanBuffers.Get().(*[]byte)
	defer scanBuffers.Put(pooled)
	var done int64
	for done < r.n {
		b := (*pooled)[:min(r.n-done, scanChunk)]
		if err := r.readAt(b, r.pos+done); err != nil {
			return done, err
		}
		n, err := w.Write(b)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// ReadAll appends the batches to dst.
func (r *Region) ReadAll(dst []byte) ([]byte, error) {
	if r.n == 0 {
		return dst, nil
	}
	from := len(dst)
	dst = append(dst, make([]byte, r.n)...)
	if err := r.readAt(dst[from:], r.pos); err != nil {
		return dst[:from], err
	}
	return dst, nil
}

func (r *Region) readAt(b []byte, pos int64) error {
	_, err := r.f.ReadAt(b, pos)
	if r.log.generation.Load() != r.gen {
		return ErrTruncated
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.f.name, err)
	}
	return nil
}

// Descriptor is the file's descriptor and the position of the region in it, for sendfile; false if the
// file has none. It may be used until Release.
func (r *Region) Descriptor() (fd uintptr, pos int64, ok bool) {
	if r.f == nil {
		return 0, 0, false
	}
	fder, ok := r.f.File.(vfs.FDer)
	if !ok {
		return 0, 0, false
	}
	return fder.FD(), r.pos, true
}
