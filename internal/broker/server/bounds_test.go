package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logText is a place for log lines that may be read while others write.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) has(t *testing.T, want string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(l.b.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, l.b.String())
	}
}

// TestE2InFlightRequestsAreLimited by number and by bytes; what is beyond the limit stays in the network.
func TestE2InFlightRequestsAreLimited(t *testing.T) {
	body := make([]byte, 1000)
	for name, limits := range map[string]Limits{
		"number": {MaxInFlight: 5},
		"bytes":  {MaxInFlightBytes: 5*len(produceFrame(0, body)) + 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := new(held)
				h := start(t, setup{limits: limits, handler: handler})
				c := h.client()
				go func() {
					for i := range int32(12) {
						c.send(produceFrame(i, body))
					}
				}()
				for from := int32(0); from < 12; from += 5 {
					synctest.Wait()
					open := handler.take()
					if want := min(5, 12-from); len(open) != int(want) {
						t.Fatalf("%d requests are in flight, want %d", len(open), want)
					}
					for _, s := range open {
						id := s.req.CorrelationID // it is the next request's after Send
						s.Send(produceReply(&s.req))
						c.expect(id)
					}
				}
				_ = c.Close()
				h.stop()
			})
		})
	}
}

// TestE2OneRequestIsAlwaysAdmitted, however small MaxInFlightBytes is.
func TestE2OneRequestIsAlwaysAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{limits: Limits{MaxInFlightBytes: 1}, handler: HandlerFunc(answer)})
		c := h.client()
		c.send(produceFrame(1, make([]byte, 5000)), produceFrame(2, make([]byte, 5000)))
		c.expect(1, 2)
		_ = c.Close()
		h.stop()
	})
}

// TestE2ClientThatDoesNotRead: its requests stop being read once its replies do not fit into the network any more, others go on,
// and after the idle timeout it is cut off.
func TestE2ClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text logText
		h := start(t, setup{limits: Limits{MaxInFlight: 10, IdleTimeout: time.Minute}, log: &text, handler: HandlerFunc(answer)})
		c := h.client()
		sent := make(chan int)
		go func() {
			n := 0
			for {
				if _, err := c.Write(produceFrame(int32(n), make([]byte, 10_000))); err != nil {
					sent <- n
					return
				}
				n++
			}
		}()
		synctest.Wait()
		if got := h.metrics.InFlight.Load(); got > 10 {
			t.Errorf("%d requests of the client that does not read are in flight", got)
		}
		good := h.client()
		good.send(metadataFrame(1))
		good.expect(1)
		_ = good.Close()
		<-sent // it was cut off
		h.stop()
		text.has(t, "has not taken its replies")
		if n := h.metrics.ConnectionsIdle.Load(); n != 1 {
			t.Errorf("%d connections were closed as idle, want 1", n)
		}
	})
}

// TestE2BadSizes: each is answered by the end of the connection, and by a line in the log that says why.
func TestE2BadSizes(t *testing.T) {
	for name, c := range map[string]struct{ bytes, want string }{
		"negative":  {"\xff\xff\xff\xff", "a request of -1 bytes"},
		"zero":      {"\x00\x00\x00\x00", "a request of 0 bytes"},
		"too large": {"\x00\x01\x00\x01", "socket.request.max.bytes allows 1 to 65536"},
		"largest":   {"\x7f\xff\xff\xff", "a request of 2147483647 bytes"},
		"http":      {"GET / HTTP/1.1\r\n\r\n", "seems to speak HTTP"},
		"tls":       {"\x16\x03\x01\x02\x00\x01", "seems to speak TLS"},
		"no header": {"\x00\x00\x00\x03abc", "too short"},
		"unknown":   {"\x00\x00\x00\x0a\x00\x63\x00\x00\x00\x00\x00\x01\xff\xff", "unknown API key"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text logText
				h := start(t, setup{limits: Limits{MaxRequestBytes: 1 << 16}, log: &text, handler: HandlerFunc(answer)})
				client := h.client()
				client.send(metadataFrame(1), []byte(c.bytes))
				client.expect(1) // what came before is answered
				client.expectEnd()
				h.stop()
				text.has(t, c.want)
			})
		})
	}
}

// TestE2AnnouncedBytesTakeNoMemory: a frame holds memory for what has arrived of it, not for what it announces, and is given up
// when it stops arriving.
func TestE2AnnouncedBytesTakeNoMemory(t *testing.T) {
	for name, tcp := range map[string]bool{"mem": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			limits := Limits{}
			if tcp {
				limits.FrameTimeout = 200 * time.Millisecond // real time
			}
			test := func(t *testing.T) {
				var text logText
				h := start(t, setup{tcp: tcp, limits: limits, log: &text, handler: HandlerFunc(answer)})
				var clients []*client
				for range 20 {
					c := h.client()
					c.send(binary.BigEndian.AppendUint32(nil, 50<<20), []byte("only so much"))
					clients = append(clients, c)
				}
				for _, c := range clients {
					c.expectEnd()
				}
				h.stop()
				if n := h.metrics.ConnectionsSlow.Load(); n != 20 {
					t.Errorf("%d connections counted as slow, want 20", n)
				}
				if n := h.metrics.BudgetWaits.Load(); n != 0 {
					t.Errorf("%d waited for a budget of which next to nothing was needed", n)
				}
				text.has(t, "stopped arriving")
			}
			if tcp {
				test(t)
			} else {
				synctest.Test(t, test)
			}
		})
	}
}

// TestE2BudgetMakesReadersWait: when all memory is held by open requests, others wait, and go on when it is free.
func TestE2BudgetMakesReadersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := new(held)
		h := start(t, setup{budget: 1<<20 + 128<<10, handler: handler})
		big, small := h.client(), h.client()
		go big.send(produceFrame(1, make([]byte, 700<<10))) // takes 1 MiB
		synctest.Wait()
		go small.send(produceFrame(2, make([]byte, 100<<10)))
		synctest.Wait()
		if handler.called() != 1 {
			t.Fatalf("%v reached the handler; only 1 fits into the budget", handler.calls)
		}
		first := handler.take()[0]
		first.Send(produceReply(&first.req))
		big.expect(1)
		synctest.Wait()
		second := handler.take()[0]
		second.Send(produceReply(&second.req))
		small.expect(2)
		if h.metrics.BudgetWaits.Load() == 0 {
			t.Error("nobody is counted as having waited")
		}
		_, _ = big.Close(), small.Close()
		h.stop()
	})
}

// TestE2FramesInTheMiddleDoNotBlockEachOther: unfinished frames that hold the whole budget and wait for more of it would do so for
// ever; they are given up, and the broker goes on.
func TestE2FramesInTheMiddleDoNotBlockEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text logText
		h := start(t, setup{budget: 1 << 20, log: &text, handler: HandlerFunc(answer)})
		var clients []*client
		for range 10 {
			c := h.client()
			clients = append(clients, c)
			go func() {
				_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, 900<<10), make([]byte, 200<<10)...))
			}()
		}
		for _, c := range clients {
			c.expectEnd()
		}
		c := h.client()
		c.send(metadataFrame(1))
		c.expect(1)
		_ = c.Close()
		h.stop()
		text.has(t, "queued.max.request.bytes is used up")
	})
}

// TestE2FrameLargerThanTheBudget can never be read; the log says what to change.
func TestE2FrameLargerThanTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text logText
		h := start(t, setup{budget: 64 << 10, log: &text, handler: HandlerFunc(answer)})
		c := h.client()
		go func() { _, _ = c.Write(produceFrame(1, make([]byte, 1<<20))) }()
		c.expectEnd()
		h.stop()
		text.has(t, "raise that or lower socket.request.max.bytes")
	})
}

// TestIdleConnectionsHoldNoMemory: neither before the first request nor after.
func TestIdleConnectionsHoldNoMemory(t *testing.T) {
	h := start(t, setup{tcp: true, handler: HandlerFunc(answer)})
	var clients []*client
	for range 50 {
		c := h.client()
		c.send(metadataFrame(1))
		c.expect(1)
		clients = append(clients, c)
	}
	eventually(t, "50 idle connections hold nothing", func() bool { return h.budget.InUse() == 0 })
	for _, c := range clients {
		_ = c.Close()
	}
	h.stop()
}

// TestIdleTimeout closes what has been quiet for long, and nothing else.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{limits: Limits{IdleTimeout: time.Minute}, handler: HandlerFunc(answer)})
		quiet, busy := h.client(), h.client()
		ended := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			quiet.expectEnd()
			ended <- time.Since(began)
		}()
		for i := range int32(10) {
			busy.send(metadataFrame(i))
			busy.expect(i)
			time.Sleep(30 * time.Second)
		}
		if took := <-ended; took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("the quiet connection was closed after %v, want a minute", took)
		}
		busy.send(metadataFrame(100))
		busy.expect(100)
		_ = busy.Close()
		h.stop()
	})
}

func TestMaxConnectionsPerIP(t *testing.T) {
	h := start(t, setup{tcp: true, limits: Limits{MaxConnectionsPerIP: 2}, handler: HandlerFunc(answer)})
	a, b := h.client(), h.client()
	for _, c := range []*client{a, b} {
		c.send(metadataFrame(1))
		c.expect(1)
	}
	h.client().expectEnd()
	if n := h.metrics.ConnectionsRefused.Load(); n != 1 {
		t.Errorf("%d connections were refused, want 1", n)
	}
	_ = a.Close()
	var c *client
	eventually(t, "the end of a connection makes room for another", func() bool {
		c = h.client()
		if _, err := c.Write(metadataFrame(2)); err == nil {
			if _, _, err := c.receive(); err == nil {
				return true
			}
		}
		_ = c.Close()
		return false
	})
	_, _ = b.Close(), c.Close()
	h.stop()
}

// TestMaxConnections: more clients wait until others have gone.
func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{limits: Limits{MaxConnections: 2}, handler: HandlerFunc(answer)})
		a, b, waiting := h.client(), h.client(), h.client()
		waiting.send(metadataFrame(1))
		a.send(metadataFrame(1))
		a.expect(1)
		synctest.Wait()
		if n := h.metrics.ConnectionsOpen.Load(); n != 2 {
			t.Errorf("%d connections are open, want 2", n)
		}
		_ = a.Close()
		waiting.expect(1)
		_, _ = b.Close(), waiting.Close()
		h.stop()
	})
}

// flaky is a listener that fails a few times first, as when there are no file descriptors left.
type flaky struct {
	net.Listener
	failures int
}

type emfile struct{}

func (emfile) Error() string { return "accept: too many open files" }

func (l *flaky) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, emfile{}
	}
	return l.Listener.Accept()
}

func TestAcceptingSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{handler: HandlerFunc(answer)})
		l, err := h.net.Listen("10.0.0.1:9093")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- h.Serve("second", &flaky{l, 20}) }()
		nc, err := h.net.Dial(context.Background(), "10.0.0.3", "10.0.0.1:9093")
		if err != nil {
			t.Fatal(err)
		}
		c := &client{nc, t}
		c.send(metadataFrame(1))
		c.expect(1)
		_ = c.Close()
		h.stop()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve of the second listener returned %v", err)
		}
	})
}
