package server

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

// TestShutdownFinishesWhatHasBegun: requests in flight are answered and their replies arrive; what comes later is not read.
func TestShutdownFinishesWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil), produceFrame(2, nil))
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- h.Shutdown(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v with two requests in flight", err)
		default:
		}
		c.send(produceFrame(3, nil))
		if _, err := h.dial(); err == nil {
			t.Error("the listener still accepts")
		}
		open := handler.take()
		open[1].Send(produceReply(&open[1].req))
		open[0].Send(produceReply(&open[0].req))
		c.expect(1, 2)
		c.expectEnd()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.stop() // once more is harmless
		if handler.called() != 2 {
			t.Errorf("%v reached the handler", handler.calls)
		}
	})
}

// TestShutdownDeadline: handlers that do not end cannot hold up the end.
func TestShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{handler: handler})
		c := h.client()
		c.send(produceFrame(1, nil))
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.Shutdown(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown returned %v", err)
		}
		c.expectEnd()
		for _, s := range handler.take() {
			s.Send(produceReply(&s.req))
		}
		h.stop()
	})
}

// TestServeAfterShutdown closes the listener that it is given.
func TestServeAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: HandlerFunc(answer)})
		h.stop()
		l, err := h.net.Listen("10.0.0.1:9094")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Serve("late", l); !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener is still open: %v", err)
		}
	})
}

// TestListenerClosedByOthers is an error that Serve returns.
func TestListenerClosedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: HandlerFunc(answer)})
		l, err := h.net.Listen("10.0.0.1:9095")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- h.Serve("third", l) }()
		synctest.Wait()
		_ = l.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		h.stop()
	})
}

// TestE2PanicStaysWithItsConnection: before, after and instead of a reply.
func TestE2PanicStaysWithItsConnection(t *testing.T) {
	for name, bad := range map[string]func(req *Request, s *Slot){
		"instead of a reply": func(*Request, *Slot) { panic("a defect") },
		"after the reply": func(req *Request, s *Slot) {
			s.Send(metadataReply(req))
			panic("a defect")
		},
		"in encoding": func(_ *Request, s *Slot) { s.SendReply(panicReply{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text logText
				h := start(t, setup{log: &text, handler: HandlerFunc(func(ctx context.Context, req *Request, s *Slot) {
					if req.CorrelationID == 666 {
						bad(req, s)
						return
					}
					answer(ctx, req, s)
				})})
				good, c := h.client(), h.client()
				c.send(slices.Concat(metadataFrame(1), metadataFrame(666), metadataFrame(3)))
				c.expect(1)
				for {
					id, _, err := c.receive()
					if err != nil {
						break
					}
					if id == 666 && name != "after the reply" {
						t.Error("a request whose handler panicked was answered")
					}
				}
				good.send(metadataFrame(4))
				good.expect(4)
				_, _ = good.Close(), c.Close()
				h.stop()
				if n := h.metrics.Panics.Load(); n != 1 {
					t.Errorf("%d panics counted, want 1", n)
				}
				text.has(t, "please report this")
			})
		})
	}
}

type panicReply struct{}

func (panicReply) AppendReply([]byte, int32) []byte { panic("cannot be encoded") }
func (panicReply) Release()                         {}

// TestStraySlotIsHarmless: a handler that panics after it gave its slot away has it completed later, to no effect.
func TestStraySlotIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stray *Slot
		h := start(t, setup{handler: HandlerFunc(func(_ context.Context, _ *Request, s *Slot) {
			stray = s
			panic("a defect")
		})})
		c := h.client()
		c.send(produceFrame(1, nil))
		c.expectEnd()
		h.stop()
		stray.Send(metadataReply(&Request{}))
		stray.SendFetch(&wire.FetchResponse{})
	})
}

// TestViolationsAreLetThrough: a broken invariant must not be kept alive by the containment of panics.
func TestViolationsAreLetThrough(t *testing.T) {
	s := New(Options{Table: testTable(t), Pool: memPool(), Handler: HandlerFunc(func(context.Context, *Request, *Slot) {
		invariant.Failf("D5: on purpose")
	})})
	c := &Conn{server: s, queue: newQueue()}
	slot := &Slot{conn: c}
	defer func() {
		if _, ok := recover().(invariant.Violation); !ok {
			t.Error("the Violation was contained")
		}
	}()
	seq, _ := c.queue.push(slot)
	_ = c.handle(slot, seq, 0)
}

// FuzzConnection sends any bytes to a served connection: it must answer or close, and leave nothing behind.
func FuzzConnection(f *testing.F) {
	f.Add(metadataFrame(1), uint16(3))
	f.Add(append(produceFrame(1, []byte("records")), frame(wire.KeyApiVersions, 99, 2, nil)...), uint16(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(7))
	f.Add([]byte{0, 0, 255, 255, 0, 3, 0, 9, 0, 0, 0, 1}, uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		h := start(t, setup{limits: Limits{MaxRequestBytes: 1 << 16}, budget: 1 << 18, handler: HandlerFunc(answer)})
		c := h.client()
		go func() {
			for rest := stream; len(rest) > 0; {
				n := min(len(rest), int(cut)+1)
				if _, err := c.Write(rest[:n]); err != nil {
					break
				}
				rest = rest[n:]
			}
			_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		for {
			if _, _, err := c.receive(); err != nil {
				if errors.Is(err, io.ErrUnexpectedEOF) {
					t.Error("half a reply")
				}
				break
			}
		}
		_ = c.Close()
		h.stop()
	})
}
