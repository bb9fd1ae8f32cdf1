package compress

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipWriters[l] pools the writers of level l; [0] is the default.
var gzipWriters [10]sync.Pool

type gzipWriter struct {
	out sliceWriter
	z   *gzip.Writer
}

func compressGzip(dst, src []byte, l Level) ([]byte, error) {
	if l == -1 { // gzip's own number for its default
		l = DefaultLevel
	}
	w, _ := gzipWriters[l].Get().(*gzipWriter)
	if w == nil {
		w = &gzipWriter{}
		level := int(l)
		if l == DefaultLevel {
			level = gzip.DefaultCompression
		}
		z, err := gzip.NewWriterLevel(&w.out, level)
		if err != nil {
			return dst, err
		}
		w.z = z
	}
	w.out.b = dst
	w.z.Reset(&w.out)
	_, err := w.z.Write(src)
	if err == nil {
		err = w.z.Close()
	}
	out := w.out.b
	w.out.b = nil
	gzipWriters[l].Put(w)
	if err != nil {
		return dst, err
	}
	return out, nil
}

type gzipReader struct {
	in bytes.Reader
	z  gzip.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

// Deflate's best ratio is 1032 to 1, but batches rarely beat this one: what the first buffer is sized by.
const gzipUsualRatio = 4

func decompressGzip(dst, src []byte, maxBytes int) ([]byte, error) {
	r := gzipReaders.Get().(*gzipReader)
	defer func() {
		r.in.Reset(nil)
		gzipReaders.Put(r)
	}()
	r.in.Reset(src)
	if err := r.z.Reset(&r.in); err != nil {
		if err == io.EOF { // an empty input is not an empty stream
			err = io.ErrUnexpectedEOF
		}
		return nil, corrupt(Gzip, err)
	}
	return readBounded(dst, &r.z, Gzip, gzipUsualRatio*len(src), maxBytes)
}
