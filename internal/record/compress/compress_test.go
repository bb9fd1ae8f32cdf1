package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

var all = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// text compresses well, noise does not.
func text(n int) []byte {
	return bytes.Repeat([]byte("some words that come again and again. "), n/38+1)[:n]
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	sizes := []int{0, 1, 100, xerialBlock - 1, xerialBlock, xerialBlock + 1, 64 << 10, 64<<10 + 1, 1 << 20, 3<<20 + 7}
	for _, c := range all {
		for _, n := range sizes {
			for _, src := range [][]byte{text(n), noise(n)} {
				z, err := Compress([]byte("prefix"), src, c, DefaultLevel)
				if err != nil {
					t.Fatalf("%v of %d bytes: %v", c, n, err)
				}
				got, err := Decompress([]byte("before"), z[len("prefix"):], c, n)
				if err != nil || string(got[:6]) != "before" || !bytes.Equal(got[6:], src) {
					t.Fatalf("%v of %d bytes: %v, got %d", c, n, err, len(got))
				}
				if string(z[:6]) != "prefix" {
					t.Fatalf("%v overwrote dst", c)
				}
			}
		}
	}
}

func TestRoundTripRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "src")
		c := rapid.SampledFrom(all).Draw(t, "codec")
		z, err := Compress(nil, src, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decompress(make([]byte, 0, rapid.IntRange(0, 100).Draw(t, "capacity")), z, c, len(src)+rapid.IntRange(0, 10).Draw(t, "slack"))
		if err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%v: %v", c, err)
		}
	})
}

func TestEveryLevel(t *testing.T) {
	src := text(10_000)
	for c, levels := range map[Codec][]Level{
		Gzip: {-1, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		LZ4:  {1, 2, 8, 9, 10, 17},
		Zstd: {-131072, -1, 1, 3, 7, 11, 19, 22},
	} {
		for _, l := range levels {
			z, err := Compress(nil, src, c, l)
			if err != nil {
				t.Errorf("%v level %d: %v", c, l, err)
				continue
			}
			if got, err := Decompress(nil, z, c, len(src)); err != nil || !bytes.Equal(got, src) {
				t.Errorf("%v level %d: %v", c, l, err)
			}
		}
	}
	for c, levels := range map[Codec][]Level{None: {1}, Gzip: {-2, 10}, Snappy: {1}, LZ4: {-1, 18}, Zstd: {-131073, 23}} {
		for _, l := range levels {
			if _, err := Compress(nil, src, c, l); !errors.Is(err, ErrLevel) {
				t.Errorf("%v level %d: %v, want ErrLevel", c, l, err)
			}
		}
	}
}

func TestDecompressStopsAtTheLimit(t *testing.T) {
	src := text(100_000)
	for _, c := range all {
		z, err := Compress(nil, src, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 1, 1000, 65536, len(src) - 1} {
			dst := []byte("kept")
			if got, err := Decompress(dst, z, c, limit); !errors.Is(err, ErrTooLarge) || string(got) != "kept" {
				t.Errorf("%v with a limit of %d: %v, want ErrTooLarge", c, limit, err)
			}
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Inputs of a few bytes that claim hundreds of megabytes get neither them nor the limit in memory.
func TestClaimsAreNotBelieved(t *testing.T) {
	const limit = 512 << 20
	snappyClaim := append(binary.AppendUvarint(nil, 400<<20), 0, 'x')
	xerial := append(slices.Clone(xerialHeader), 0, 0, 0, byte(len(snappyClaim)))
	zstdClaim := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0} // single segment, content size in 4 bytes
	zstdClaim = binary.LittleEndian.AppendUint32(zstdClaim, 400<<20)
	zstdClaim = append(zstdClaim, 0x09, 0, 0, 'x') // a last raw block of one byte
	zstdWindow := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 0x09, 0, 0, 'x'}
	lz4Size := []byte{0x04, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0x19, 0, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		codec Codec
		src   []byte
	}{
		"raw snappy":        {Snappy, snappyClaim},
		"xerial snappy":     {Snappy, append(xerial, snappyClaim...)},
		"zstd content size": {Zstd, zstdClaim},
		"zstd window":       {Zstd, zstdWindow},
		"lz4 content size":  {LZ4, lz4Size},
	} {
		var err error
		run := func() { _, err = Decompress(nil, c.src, c.codec, limit) }
		run() // fills the pools
		if n := allocated(run); n > 20<<20 {
			t.Errorf("%s: %d bytes allocated (%v)", name, n, err)
		}
		if name != "zstd window" && !errors.Is(err, ErrCorrupt) { // that one is honest: one byte, a window of 128 MiB
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

// Real bombs stop at the limit without ever holding much more than it.
func TestBombs(t *testing.T) {
	const limit = 1 << 20
	zeros := make([]byte, 64<<20)
	for _, c := range []Codec{Gzip, LZ4, Zstd} {
		bomb, err := Compress(nil, zeros, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		run := func() { _, err = Decompress(nil, bomb, c, limit) }
		run()
		if n := allocated(run); !errors.Is(err, ErrTooLarge) || n > 4*limit {
			t.Errorf("%v: %d bytes of bomb: %v, %d bytes allocated", c, len(bomb), err, n)
		}
	}
}

func TestSnappyFramings(t *testing.T) {
	src := text(100_000)
	raw := snappy.Encode(nil, src)
	if got, err := Decompress(nil, raw, Snappy, len(src)); err != nil || !bytes.Equal(got, src) {
		t.Errorf("raw: %v", err)
	}
	one, err := Compress(nil, src, Snappy, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(one, xerialHeader) {
		t.Error("Compress does not write the framing that Kafka's clients expect")
	}
	got, err := Decompress(nil, append(slices.Clone(one), one...), Snappy, 2*len(src))
	if err != nil || !bytes.Equal(got, append(slices.Clone(src), src...)) {
		t.Errorf("two joined streams: %v", err)
	}
	for n := len(xerialHeader) + 1; n < len(one); n += 97 {
		if _, err := Decompress(nil, one[:n], Snappy, len(src)); err == nil {
			t.Fatalf("%d of %d bytes decompress", n, len(one))
		}
	}
}

func TestCorruptInputIsRefused(t *testing.T) {
	src := text(5000)
	for _, c := range all[1:] {
		z, err := Compress(nil, src, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string][]byte{
			"empty":     {},
			"garbage":   noise(300),
			"truncated": z[:len(z)-5],
			"half":      z[:len(z)/2],
			"trailing":  append(slices.Clone(z), "garbage"...),
		} {
			if _, err := Decompress(nil, bad, c, 1<<20); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v, %s: %v, want ErrCorrupt", c, name, err)
			}
		}
		if got, err := Decompress(nil, z, c, 1<<20); err != nil || !bytes.Equal(got, src) {
			t.Errorf("%v after corrupt input: %v", c, err)
		}
	}
	for _, f := range []func() error{
		func() error { _, err := Decompress(nil, nil, 5, 1); return err },
		func() error { _, err := Compress(nil, nil, 5, DefaultLevel); return err },
		func() error { _, err := Compress(nil, nil, -1, DefaultLevel); return err },
	} {
		if err := f(); !errors.Is(err, ErrCodec) {
			t.Errorf("%v, want ErrCodec", err)
		}
	}
}

// A zstd stream without its content size, of many blocks and with a checksum, as Kafka's producer writes them.
func TestZstdStream(t *testing.T) {
	src := append(text(700_000), noise(300_000)...)
	var out sliceWriter
	w, err := zstd.NewWriter(&out, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(src, 10_000) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{len(src), len(src) + 1, 1 << 30} {
		if got, err := Decompress(nil, out.b, Zstd, limit); err != nil || !bytes.Equal(got, src) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	if _, err := Decompress(nil, out.b, Zstd, len(src)-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}

func TestNames(t *testing.T) {
	want := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	for i, c := range all {
		if c.String() != want[i] {
			t.Errorf("codec %d is %q, want %q", c, c.String(), want[i])
		}
	}
	if Codec(6).Valid() || Codec(6).String() != "unknown(6)" {
		t.Error("codec 6 exists")
	}
}

func TestConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			src := text(1000 * (i + 1))
			for range 20 {
				for _, c := range all {
					z, err := Compress(nil, src, c, DefaultLevel)
					if err != nil {
						t.Error(err)
					}
					if got, err := Decompress(nil, z, c, len(src)); err != nil || !bytes.Equal(got, src) {
						t.Errorf("%v: %v", c, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCompress(b *testing.B) {
	src := text(16 << 10)
	for _, c := range all[1:] {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				var err error
				if dst, err = Compress(dst[:0], src, c, DefaultLevel); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	src := text(16 << 10)
	for _, c := range all[1:] {
		b.Run(c.String(), func(b *testing.B) {
			z, err := Compress(nil, src, c, DefaultLevel)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				if dst, err = Decompress(dst[:0], z, c, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzDecompress: any bytes give at most the limit or an error, and what decompresses compresses back.
func FuzzDecompress(f *testing.F) {
	for _, c := range all {
		for _, src := range [][]byte{nil, text(10), text(3000), noise(100), make([]byte, 100_000)} {
			z, err := Compress(nil, src, c, DefaultLevel)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(c), uint32(len(src)), z)
			f.Add(byte(c), uint32(len(src)/2), z)
		}
	}
	f.Add(byte(Snappy), uint32(100), snappy.Encode(nil, text(50)))
	f.Fuzz(func(t *testing.T, codec byte, limit uint32, src []byte) {
		c, most := Codec(codec%6), int(limit%(1<<20))
		got, err := Decompress(nil, src, c, most)
		if err != nil {
			if got != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCodec) {
				t.Fatalf("%v: %d bytes and an untyped error: %v", c, len(got), err)
			}
			return
		}
		if len(got) > most {
			t.Fatalf("%v: %d bytes, the limit is %d", c, len(got), most)
		}
		z, err := Compress(nil, got, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decompress(nil, z, c, len(got)); err != nil || !bytes.Equal(back, got) {
			t.Fatalf("%v: back again: %v", c, err)
		}
	})
}
