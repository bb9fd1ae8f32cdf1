package compress

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestBeginsAcceptsWhatDecompresses: whatever Decompress takes begins well, whole or damaged, for every codec and level.
func TestBeginsAcceptsWhatDecompresses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for c := None; c <= Zstd; c++ {
		for n := range 4000 {
			src := make([]byte, 1+rng.IntN(1<<rng.IntN(18)))
			if n%2 == 0 {
				for i := range src {
					src[i] = byte(rng.Uint32())
				}
			}
			data, err := Compress(nil, src, c, DefaultLevel)
			if err != nil {
				t.Fatal(err)
			}
			if c == Snappy && n%3 == 0 && len(src) <= xerialBlock {
				data = data[len(xerialHeader)+4:] // one block, raw
			}
			if n%4 == 0 {
				data[rng.IntN(min(len(data), 24))] ^= 1 << rng.IntN(8)
			}
			out, err := Decompress(nil, data, c, 1<<20)
			if err == nil && len(out) > 0 && !Begins(data, c) {
				t.Fatalf("%v: %x... decompresses to %d bytes and is refused", c, data[:min(len(data), 24)], len(out))
			}
		}
	}
}

// TestBeginsRefusesGarbage: text and noise are no stream, of any codec; nor is the stream of another codec.
func TestBeginsRefusesGarbage(t *testing.T) {
	text := []byte("garbage, of which nobody has ever made a stream")
	for c := Gzip; c <= Zstd; c++ {
		for _, data := range [][]byte{nil, {0}, text, bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{0xff}, 100), xerialHeader} {
			if Begins(data, c) {
				t.Errorf("%v begins with %q", c, data)
			}
		}
		for other := Gzip; other <= Zstd; other++ {
			data, err := Compress(nil, text, other, DefaultLevel)
			if err != nil {
				t.Fatal(err)
			}
			if got := Begins(data, c); got != (c == other) {
				t.Errorf("a stream of %v begins as %v: %v", other, c, got)
			}
			if n := testing.AllocsPerRun(10, func() { Begins(data, c) }); n != 0 {
				t.Errorf("%v: %v allocations", c, n)
			}
		}
	}
}
