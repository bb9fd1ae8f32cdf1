package server

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// groupCommit completes slots as a log does: it takes all that are queued, spends the time of a sync, completes them,
// and again.
type groupCommit struct {
	sync   time.Duration
	mu     sync.Mutex
	queued []*Slot
	wake   chan struct{}
}

func newGroupCommit(b *testing.B, sync time.Duration) *groupCommit {
	g := &groupCommit{sync: sync, wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	b.Cleanup(func() { close(done) })
	go g.run(done)
	return g
}

func (g *groupCommit) Handle(_ context.Context, req *Request, reply *Slot) {
	g.mu.Lock()
	g.queued = append(g.queued, reply)
	first := len(g.queued) == 1
	g.mu.Unlock()
	if first {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

func (g *groupCommit) run(done <-chan struct{}) {
	var group []*Slot
	for {
		select {
		case <-g.wake:
		case <-done:
			return
		}
		g.mu.Lock()
		group, g.queued = g.queued, group[:0]
		g.mu.Unlock()
		if g.sync > 0 {
			<-time.After(g.sync)
		}
		for i, s := range group {
			s.Send(produceReply(&s.req))
			group[i] = nil
		}
	}
}

// BenchmarkProduce measures requests per second over loopback TCP with a client as cheap as possible in the same
// process: connections x outstanding requests of 350 bytes, completed by a group commit.
func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		name               string
		conns, outstanding int
		sync               time.Duration
		inline             bool
	}{
		{"1conn/128outstanding", 1, 128, 0, false},
		{"1conn/128outstanding/sync100us", 1, 128, 100 * time.Microsecond, false},
		{"128conns/1outstanding", 128, 1, 0, false},
		{"128conns/1outstanding/sync100us", 128, 1, 100 * time.Microsecond, false},
		{"1conn/1outstanding", 1, 1, 0, false},
		{"1conn/1outstanding/inline", 1, 1, 0, true},
		{"128conns/1outstanding/inline", 128, 1, 0, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var handler Handler = HandlerFunc(answer)
			if !c.inline {
				handler = newGroupCommit(b, c.sync)
			}
			h := start(b, setup{tcp: true, handler: handler})
			request := produceFrame(1, make([]byte, 330))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range c.conns {
				nc, err := h.dial()
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = nc.Close() })
				n := b.N / c.conns
				if i < b.N%c.conns {
					n++
				}
				wg.Go(func() { drive(b, nc, request, n, c.outstanding) })
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			m := h.metrics
			b.ReportMetric(float64(m.Replies.Load())/float64(max(m.Writes.Load(), 1)), "replies/write")
		})
	}
}

// drive keeps so many requests outstanding until n are answered. One goroutine: it reads what is there and then sends as many.
func drive(b *testing.B, nc net.Conn, request []byte, n, outstanding int) {
	reply := len(replyFrame())
	window := min(outstanding, n)
	burst := make([]byte, 0, outstanding*len(request))
	for range outstanding {
		burst = append(burst, request...)
	}
	if _, err := nc.Write(burst[:window*len(request)]); err != nil {
		b.Error(err)
		return
	}
	sent, answered, partial := window, 0, 0
	in := make([]byte, outstanding*reply)
	for answered < n {
		m, err := nc.Read(in)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				b.Error(err)
			}
			return
		}
		partial += m
		got := partial / reply
		partial %= reply
		answered += got
		more := min(got, n-sent)
		if _, err := nc.Write(burst[:more*len(request)]); err != nil {
			b.Error(err)
			return
		}
		sent += more
	}
}
