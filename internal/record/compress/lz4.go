package compress

import (
	"bytes"
	"errors"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// lz4HighLevels are the levels of this library's slow compressor. Kafka's go to 17; those above its best are its best.
var lz4HighLevels = [...]lz4.CompressionLevel{
	lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}

// lz4KafkaDefault is the default of compression.lz4.level, for which Kafka takes the fast compressor.
const lz4KafkaDefault = 9

type lz4Writer struct {
	out sliceWriter
	z   *lz4.Writer
}

// lz4Writers[0] pools the writers of the fast compressor, [l] those of level l.
var lz4Writers [len(lz4HighLevels) + 1]sync.Pool

func compressLZ4(dst, src []byte, l Level) ([]byte, error) {
	pool, level := 0, lz4.Fast
	if l != DefaultLevel && l != lz4KafkaDefault {
		pool = min(int(l), len(lz4HighLevels))
		level = lz4HighLevels[pool-1]
	}
	w, _ := lz4Writers[pool].Get().(*lz4Writer)
	if w == nil {
		w = &lz4Writer{}
		w.z = lz4.NewWriter(&w.out)
		// As Kafka's producer: independent blocks of 64 KiB (the library's only kind), no checksum of the content,
		// which the CRC of the batch covers.
		err := w.z.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
			lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(level))
		if err != nil {
			return dst, err
		}
	}
	w.out.b = dst
	w.z.Reset(&w.out)
	_, err := w.z.Write(src)
	if err == nil {
		err = w.z.Close()
	}
	out := w.out.b
	w.out.b = nil
	if err != nil {
		return dst, err // and the writer is dropped
	}
	lz4Writers[pool].Put(w)
	return out, nil
}

type lz4Reader struct {
	in bytes.Reader
	z  *lz4.Reader
}

var lz4Readers = sync.Pool{New: func() any {
	r := &lz4Reader{}
	r.z = lz4.NewReader(&r.in)
	if err := r.z.Apply(lz4.ConcurrencyOption(1)); err != nil {
		panic(err) // a constant option on a new reader
	}
	return r
}}

const lz4UsualRatio = 4

var errLZ4Empty = errors.New("there is no frame")

func decompressLZ4(dst, src []byte, maxBytes int) ([]byte, error) {
	if len(src) == 0 {
		return nil, corrupt(LZ4, errLZ4Empty)
	}
	r := lz4Readers.Get().(*lz4Reader)
	r.in.Reset(src)
	r.z.Reset(&r.in)
	out, err := readBounded(dst, r.z, LZ4, lz4UsualRatio*len(src), maxBytes)
	left := r.in.Len()
	r.in.Reset(nil)
	r.z.Reset(&r.in) // gives its block back to the library's pool
	lz4Readers.Put(r)
	if err == nil && left > 0 {
		return nil, corrupt(LZ4, errTrailing)
	}
	return out, err
}
