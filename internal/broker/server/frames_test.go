package server

import (
	"bytes"
	"context"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"chronik/internal/mem"
	"chronik/internal/wire"
)

// TestFramesArriveWhole sends frames of all sizes, cut into pieces of all sizes, and holds on to some of them: every body must be
// what was sent, when it arrives and, where it was retained, much later.
func TestFramesArriveWhole(t *testing.T) {
	for name, tcp := range map[string]bool{"mem": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			bodies, stream := randomFrames(rng, 400)

			keep := new(keeper)
			h := start(t, setup{tcp: tcp, handler: keep})
			c := h.client()
			go func() {
				for rest := stream; len(rest) > 0; {
					n := min(len(rest), pieceSize(rng))
					if _, err := c.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			}()
			for i := range bodies {
				c.expect(int32(i))
			}
			keep.check(t, bodies)
			_ = c.Close()
			h.stop()
		})
	}
}

func pieceSize(rng *rand.Rand) int { return 1 + rng.IntN(1<<rng.IntN(18)) }

func randomFrames(rng *rand.Rand, n int) (bodies [][]byte, stream []byte) {
	for i := range n {
		body := make([]byte, rng.IntN(1<<rng.IntN(20)))
		for j := range body {
			body[j] = byte(rng.Uint32())
		}
		bodies = append(bodies, body)
		stream = append(stream, produceFrame(int32(i), body)...)
	}
	return bodies, stream
}

// keeper notes the checksum of each body as it arrives, and retains the frame of every seventh.
type keeper struct {
	mu   sync.Mutex
	sums []uint32
	kept []kept
}

type kept struct {
	index int
	body  []byte
	frame *mem.Buf
}

func (k *keeper) Handle(_ context.Context, req *Request, s *Slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.sums)%7 == 0 {
		req.Frame.Retain()
		k.kept = append(k.kept, kept{len(k.sums), req.Body, req.Frame})
	}
	k.sums = append(k.sums, crc32.ChecksumIEEE(req.Body))
	s.Send(produceReply(req))
}

func (k *keeper) check(t *testing.T, bodies [][]byte) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range bodies {
		if k.sums[i] != crc32.ChecksumIEEE(b) {
			t.Errorf("request %d arrived with another body", i)
		}
	}
	for _, e := range k.kept {
		if !bytes.Equal(e.body, bodies[e.index]) {
			t.Errorf("the body of request %d changed while it was retained", e.index)
		}
		e.frame.Release()
	}
}

// TestManyRequestsPerRead: pipelined small requests are taken and answered in bulk.
func TestManyRequestsPerRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: HandlerFunc(answer)})
		c := h.client()
		var all []byte
		const n = 500
		for i := range int32(n) {
			all = append(all, produceFrame(i, make([]byte, 200))...)
		}
		c.send(all)
		for i := range int32(n) {
			c.expect(i)
		}
		if r := h.metrics.Reads.Load(); r > n/10 {
			t.Errorf("%d reads for %d requests", r, n)
		}
		if w := h.metrics.Writes.Load(); w > n/10 {
			t.Errorf("%d writes for %d replies", w, n)
		}
		_ = c.Close()
		h.stop()
	})
}

// TestSteadyStateDoesNotAllocate: neither reading, nor slots, nor replies that encode themselves.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if testing.CoverMode() != "" || raceEnabled {
		t.Skip("instrumented code allocates")
	}
	h := start(t, setup{tcp: true, handler: HandlerFunc(func(_ context.Context, _ *Request, s *Slot) { s.SendReply(fixedReply{}) })})
	c := h.client()
	request, reply := produceFrame(1, make([]byte, 300)), make([]byte, len(replyFrame()))
	round := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(reply); err != nil {
			t.Fatal(err)
		}
	}
	round()
	if allocs := testing.AllocsPerRun(2000, round); allocs > 0 {
		t.Errorf("%v allocations per request, want 0", allocs)
	}
	_ = c.Close()
	h.stop()
}

type fixedReply struct{}

var encodedReply = replyFrame()

func (fixedReply) AppendReply(dst []byte, _ int32) []byte { return append(dst, encodedReply...) }
func (fixedReply) Release()                               {}

// TestUnsupportedVersions: ApiVersions is answered in the oldest form (KIP-511), all others close the connection.
func TestUnsupportedVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text logText
		h := start(t, setup{log: &text, handler: HandlerFunc(answer)})
		c := h.client()
		c.send(frame(wire.KeyApiVersions, 99, 7, []byte("whatever it may be")))
		id, body, err := c.receive()
		if err != nil || id != 7 || !bytes.HasPrefix(body, []byte{0, 35, 0, 0, 0, 1, 0, 18}) {
			t.Fatalf("got the reply %d, %x, %v; want UNSUPPORTED_VERSION in version 0 and the versions of key 18", id, body, err)
		}
		c.send(metadataFrame(8)) // the connection goes on
		c.expect(8)
		c.send(frame(keyMetadata, 99, 9, nil))
		c.expectEnd()
		h.stop()
		text.has(t, "unsupported API version: Metadata version 99")
	})
}
