package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

// held is a handler that keeps the slots of requests that pipeline for the test to complete, and answers all others.
type held struct {
	mu    sync.Mutex
	slots []*Slot
	calls []int32 // correlation IDs in the order in which requests reached the handler
}

func (h *held) Handle(ctx context.Context, req *Request, reply *Slot) {
	h.mu.Lock()
	h.calls = append(h.calls, req.CorrelationID)
	if pipelines(req.Key) {
		h.slots = append(h.slots, reply)
		reply = nil
	}
	h.mu.Unlock()
	if reply != nil {
		answer(ctx, req, reply)
	}
}

// take returns the slots held so far.
func (h *held) take() []*Slot {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slots
	h.slots = nil
	return s
}

func (h *held) called() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// TestE1RepliesLeaveInRequestOrder completes the slots of many pipelined requests in random order from several
// goroutines, over the in-memory network and over TCP.
func TestE1RepliesLeaveInRequestOrder(t *testing.T) {
	for name, tcp := range map[string]bool{"mem": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			const n = 2000
			completers := make(chan *Slot, n)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					var some []*Slot
					for s := range completers {
						if some = append(some, s); len(some) < 16 && s.req.CorrelationID != n-1 {
							continue
						}
						rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
						for _, s := range some {
							s.Send(produceReply(&s.req))
						}
						some = some[:0]
					}
					for _, s := range some {
						s.Send(produceReply(&s.req))
					}
				})
			}
			limits := Limits{MaxInFlight: n} // the completers hold some back
			h := start(t, setup{tcp: tcp, limits: limits, handler: HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
				completers <- s
				if req.CorrelationID == n-1 {
					close(completers)
				}
			})})
			c := h.client()
			go func() {
				for i := range int32(n) {
					c.send(produceFrame(i, []byte("some records")))
				}
			}()
			for i := range int32(n) {
				c.expect(i)
			}
			_ = c.Close()
			wg.Wait()
			h.stop()
		})
	}
}

// TestE1LikePipelinesWithLike: offset commits wait for the disk together, and begin when the records before them are there.
func TestE1LikePipelinesWithLike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), commitFrame(2), commitFrame(3), produceFrame(4, nil), metadataFrame(5))
		for i, want := range []int{1, 3, 4} {
			synctest.Wait()
			if n := handler.called(); n != want {
				t.Fatalf("step %d: %v reached the handler, want %d", i, handler.calls, want)
			}
			open := handler.take()
			for _, s := range slices.Backward(open) {
				if s.req.Key == wire.KeyProduce {
					s.Send(produceReply(&s.req))
					continue
				}
				out := kmsg.NewPtrOffsetCommitResponse()
				out.SetVersion(commitV)
				s.Send(out)
			}
		}
		c.expect(1, 2, 3, 4, 5)
		_ = c.Close()
		h.stop()
	})
}

// TestE1OnlyProducePipelines: a request of another kind does not reach the handler before all Produce requests before it are
// complete, nor a Produce behind it before its own turn.
func TestE1OnlyProducePipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil), metadataFrame(3), produceFrame(4, nil))
		synctest.Wait()
		if handler.called() != 2 {
			t.Fatalf("%v reached the handler, want 1 and 2", handler.calls)
		}
		open := handler.take()
		open[1].Send(produceReply(&open[1].req))
		synctest.Wait()
		if handler.called() != 2 {
			t.Fatalf("%v reached the handler while request 1 was open", handler.calls)
		}
		open[0].Send(produceReply(&open[0].req))
		c.expect(1, 2, 3)
		synctest.Wait()
		if handler.called() != 4 {
			t.Fatalf("%v reached the handler, want all four", handler.calls)
		}
		for _, s := range handler.take() {
			s.Send(produceReply(&s.req))
		}
		c.expect(4)
		_ = c.Close()
		h.stop()
	})
}

// TestE1NoReplyForAcksZero: None takes its turn and sends nothing.
func TestE1NoReplyForAcksZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil), produceFrame(3, nil))
		synctest.Wait()
		open := handler.take()
		open[0].None()
		open[2].None()
		open[1].Send(produceReply(&open[1].req))
		c.send(metadataFrame(4))
		c.expect(2, 4)
		_ = c.Close()
		h.stop()
	})
}

// TestCloseComesAfterEarlierReplies: what was asked before the slot that closes is answered, what came after is not.
func TestCloseComesAfterEarlierReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil), produceFrame(3, nil))
		synctest.Wait()
		open := handler.take()
		open[2].Send(produceReply(&open[2].req))
		open[1].Close(errors.New("acks=0 failed"))
		synctest.Wait()
		open[0].Send(produceReply(&open[0].req))
		c.expect(1)
		c.expectEnd()
		h.stop()
		if n := h.metrics.ConnectionsFailed.Load(); n != 1 {
			t.Errorf("%d connections counted as failed, want 1", n)
		}
	})
}

// TestHalfClosedClientGetsItsReplies: a client that has sent all it wants and said so still waits for its answers.
func TestHalfClosedClientGetsItsReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil))
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		synctest.Wait()
		for _, s := range handler.take() {
			s.Send(produceReply(&s.req))
		}
		c.expect(1, 2)
		c.expectEnd()
		h.stop()
	})
}

// TestSlotsOutliveTheirConnection: completing a slot after its client has gone is harmless.
func TestSlotsOutliveTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil), produceFrame(3, nil))
		synctest.Wait()
		_ = c.Close()
		synctest.Wait()
		open := handler.take()
		if err := open[0].req.Conn.Context().Err(); err == nil {
			t.Error("the connection's context has not ended")
		}
		open[2].SendFetch(&wire.FetchResponse{})
		open[1].Close(errors.New("too late"))
		open[0].Send(produceReply(&open[0].req))
		h.stop()
	})
}

// TestSlotCompletedTwiceIsAViolation: the second reply could be another request's.
func TestSlotCompletedTwiceIsAViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil))
		synctest.Wait()
		open := handler.take()
		open[1].Send(produceReply(&open[1].req))
		func() {
			defer func() {
				if _, ok := recover().(invariant.Violation); !ok {
					t.Error("no Violation")
				}
			}()
			open[1].None()
		}()
		open[0].None()
		c.expect(2)
		_ = c.Close()
		h.stop()
	})
}

// TestParkedRequestEndsWithItsServer: a handler that waits in the reader learns of the shutdown, answers, and the answer
// arrives.
func TestParkedRequestEndsWithItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: HandlerFunc(func(ctx context.Context, req *Request, s *Slot) {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrShutdown) {
				t.Errorf("the context's cause is %v", context.Cause(ctx))
			}
			answer(ctx, req, s)
		})})
		c := h.client()
		c.send(metadataFrame(1), metadataFrame(2))
		time.Sleep(time.Hour) // far longer than any timeout: a connection that waits for a reply is not idle
		go h.stop()
		c.expect(1)
		c.expectEnd()
	})
}

// parked is a handler that waits for as long as it may, and then answers.
var parked = HandlerFunc(func(ctx context.Context, req *Request, s *Slot) {
	<-ctx.Done()
	answer(ctx, req, s)
})

// TestParkedRequestEndsWithItsClient: a client that asks for an answer in a year and goes away leaves nothing behind.
func TestParkedRequestEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: parked})
		gone, patient := h.client(), h.client()
		gone.send(metadataFrame(1), []byte("bytes that hide the end"))
		patient.send(metadataFrame(1))
		synctest.Wait()
		_ = gone.Close()
		time.Sleep(time.Minute)
		if n := h.metrics.ConnectionsOpen.Load(); n != 1 {
			t.Errorf("%d connections are open, want the patient one", n)
		}
		go h.stop()
		patient.expect(1)
		patient.expectEnd()
	})
}

// TestParkedRequestEndsWithItsSocket is the same with what the kernel tells.
func TestParkedRequestEndsWithItsSocket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a lost client shows when the handler's time is up")
	}
	t.Parallel() // it waits for hangUpFirst in real time
	h := start(t, setup{tcp: true, handler: parked})
	gone, patient := h.client(), h.client()
	gone.send(metadataFrame(1), []byte("bytes that hide the end"))
	eventually(t, "the request is being handled", func() bool { return h.metrics.InFlight.Load() > 0 })
	_ = gone.Close()
	eventually(t, "the connection of a client that has gone is closed", func() bool { return h.metrics.ConnectionsOpen.Load() == 1 })
	_ = patient.Close()
	h.stop()
}
