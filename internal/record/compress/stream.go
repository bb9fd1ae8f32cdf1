package compress

import (
	"errors"
	"io"
	"slices"
)

var errTrailing = errors.New("bytes follow the end of the stream")

// sliceWriter collects what an encoder writes.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// readBounded appends all of r to dst, growing it as the bytes come, and fails with ErrTooLarge once there
// are more than maxBytes.
func readBounded(dst []byte, r io.Reader, c Codec, sizeHint, maxBytes int) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, max(0, min(sizeHint, maxBytes)))
	for {
		if len(dst)-start >= maxBytes {
			return readEnd(dst, r, c, maxBytes)
		}
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(512, min(len(dst)-start, maxBytes-(len(dst)-start))))
		}
		room := min(cap(dst)-len(dst), maxBytes-(len(dst)-start))
		n, err := r.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, corrupt(c, err)
		}
	}
}

// readEnd demands that r, which has delivered all that it may, be at its end.
func readEnd(dst []byte, r io.Reader, c Codec, maxBytes int) ([]byte, error) {
	var one [1]byte
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return nil, tooLarge(maxBytes)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return nil, corrupt(c, err)
		}
	}
}
