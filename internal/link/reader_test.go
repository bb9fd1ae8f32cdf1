package link

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
	"time"
	"unsafe"

	"chronik/internal/mem"
)

// torrent is a connection on which one large frame arrives, piece by piece, again and again.
type torrent struct {
	canned
	frame  []byte
	at     int
	frames int // that are still to come after this one
	piece  int
}

func (c *torrent) Read(b []byte) (int, error) {
	if c.at == len(c.frame) {
		if c.frames == 0 {
			return 0, io.EOF
		}
		c.frames, c.at = c.frames-1, 0
	}
	n := copy(b[:min(len(b), c.piece)], c.frame[c.at:])
	c.at += n
	return n, nil
}

// frameOf is a whole frame with a body of that size.
func frameOf(size int) []byte {
	b := make([]byte, frameHeader+size)
	for i := frameHeader; i < len(b); i++ {
		b[i] = byte(i * 31)
	}
	binary.BigEndian.PutUint32(b, uint32(size))
	b[4] = FirstType
	sum := crc32.Update(crc32.Checksum(b[:5], castagnoli), castagnoli, b[frameHeader:])
	binary.BigEndian.PutUint32(b[5:], sum)
	return b
}

// TestGrowingFramesAreNotCopiedAgainAndAgain: a frame's bytes move fewer than two times on average while it gets its memory, and it gets no more
// than twice of what has arrived, however small the pieces are.
func TestGrowingFramesAreNotCopiedAgainAndAgain(t *testing.T) {
	for _, c := range []struct{ body, piece int }{
		{100 << 20, 256 << 10}, {100 << 20, 64 << 10}, {3<<20 + 1, 10_007}, {trustSize, 1000}, {trustSize - frameHeader, 4096}, {100_000, 333}, {10, 3},
	} {
		frame := frameOf(c.body)
		src := source{conn: &torrent{frame: frame, piece: c.piece, frames: 2}, maxBody: Control.maxBody(), silence: time.Second}
		src.take(mem.Get(chunkSize))
		began, copied, reads, delivered := time.Now(), 0, 0, 0
		for delivered < 3 {
			n, need, err := src.deliver(func(_ byte, body []byte, _ *mem.Buf) error {
				if len(body) != c.body {
					t.Fatalf("a body of %d bytes", len(body))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			delivered += n
			have := src.w - src.r
			before := unsafe.SliceData(src.buf)
			if src.makeRoom(need); unsafe.SliceData(src.buf) != before {
				copied += have
			}
			if most := max(trustSize, 2*have, chunkSize); len(src.buf) > most && have > 0 {
				t.Fatalf("%d bytes of memory for %d that have arrived", len(src.buf), have)
			}
			if delivered == 3 {
				break
			}
			if err := src.fill(); err != nil {
				t.Fatal(err)
			}
			reads++
		}
		src.chunk.Release()
		if most := 2 * 3 * len(frame); copied > most {
			t.Errorf("3 frames of %d bytes in pieces of %d: %d bytes were copied, %.1f times as many", len(frame), c.piece, copied, float64(copied)/float64(3*len(frame)))
		}
		if least := 3 * (len(frame)/c.piece + 1); reads > 2*least+10 {
			t.Errorf("3 frames of %d bytes in pieces of %d took %d reads", len(frame), c.piece, reads)
		}
		t.Logf("3 frames of %d bytes in pieces of %d: %d reads, %d bytes copied, %v each", len(frame), c.piece, reads, copied, time.Since(began)/3)
	}
}

// BenchmarkLargeFrame: frames of 100 MiB that arrive in reads of 256 KiB.
func BenchmarkLargeFrame(b *testing.B) {
	frame := frameOf(100 << 20)
	l := newLink(&canned{}, &Config{Timing: Timing{}.withDefaults()}, Peer{Role: Control}, time.Second)
	l.conn = &torrent{frame: frame, piece: 256 << 10, frames: b.N - 1}
	s := newSession()
	got := 0
	s.frame = func(byte, []byte, *mem.Buf) error { got++; return nil }
	b.SetBytes(int64(len(frame)))
	b.ResetTimer()
	_ = l.read(s)
	if got != b.N {
		b.Fatalf("%d of %d frames arrived", got, b.N)
	}
}
