package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/mem"
	"chronik/internal/memnet"
)

// both runs a link on both ends.
func both(t testing.TB, near, far net.Conn, one, two Session) (d, a *Link) {
	t.Helper()
	d, a = linked(t, near, far, Replication)
	go d.Run(one)
	go a.Run(two)
	return d, a
}

func TestFramesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(10_000)
		one, two := newSession(), newSession()
		d, _ := both(t, near, far, one, two)
		var want []string
		for i := range 2000 {
			body := strings.Repeat(fmt.Sprint(i), i%50)
			tail := bytes.Repeat([]byte{byte(i)}, i%7*1500)
			want = append(want, string(rune(FirstType+byte(i%3)))+body+string(tail))
			if err := d.Send(t.Context(), FirstType+byte(i%3), []byte(body), tail, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		got := two.frames()
		if len(got) != len(want) {
			t.Fatalf("%d frames arrived of %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("frame %d is %d bytes, want %d", i, len(got[i]), len(want[i]))
			}
		}
		if n := two.drained.Load(); n == 0 || n >= int64(len(want)) {
			t.Errorf("Drained %d times for %d frames: they are not taken together", n, len(want))
		}
		d.Close(errors.New("that was all"))
		var bye *GoodbyeError
		if err := <-two.closed; !errors.As(err, &bye) || bye.Reason != "that was all" || bye.Node != 1 {
			t.Errorf("the peer heard %v", err)
		}
		if err := <-one.closed; err == nil || err.Error() != "that was all" {
			t.Errorf("this side heard %v", err)
		}
		if err := d.TrySend(FirstType, nil, nil, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("sending after the end: %v", err)
		}
	})
}

// TestLargeFramesKeepTheirBuffer: a body is handed on without a copy, both ways.
func TestLargeFramesKeepTheirBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(1 << 20)
		one, two := newSession(), newSession()
		kept := make(chan *mem.Buf, 10)
		var bodies [][]byte
		two.frame = func(_ byte, body []byte, buf *mem.Buf) error {
			if !contains(buf.Bytes(), body) {
				t.Error("the body is not in the buffer")
			}
			buf.Retain()
			kept <- buf
			bodies = append(bodies, body)
			return nil
		}
		d, _ := both(t, near, far, one, two)
		sent := mem.Get(5 << 20)
		for i := range sent.Bytes() {
			sent.Bytes()[i] = byte(i * 7)
		}
		want := bytes.Clone(sent.Bytes())
		if err := d.TrySend(FirstType, []byte("head"), sent.Bytes(), sent); err != nil {
			t.Fatal(err)
		}
		sent.Release() // the link holds it until it is written
		if err := d.Send(t.Context(), FirstType, []byte("next"), nil, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(bodies) != 2 || !bytes.Equal(bodies[0][4:], want) || string(bodies[1]) != "next" {
			t.Fatalf("%d bodies arrived", len(bodies))
		}
		for range 2 {
			(<-kept).Release()
		}
		d.Close(nil)
		<-two.closed
	})
}

func contains(outer, inner []byte) bool {
	for i := range outer {
		if &outer[i] == &inner[0] {
			return true
		}
	}
	return false
}

// TestSilenceIsNoticed: neither a cut cable nor a cut of one direction comes with a word; both ends know within the time that was set.
func TestSilenceIsNoticed(t *testing.T) {
	for name, cut := range map[string]func(a, b *fault){
		"both ways": func(a, b *fault) { a.mute.Store(true); b.mute.Store(true) },
		"one way":   func(a, _ *fault) { a.mute.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memnet.Pipe(64 << 10)
				nf, ff := &fault{Conn: near}, &fault{Conn: far}
				one, two := newSession(), newSession()
				both(t, nf, ff, one, two)
				advance(time.Hour) // heartbeats keep an idle link
				if len(one.closed)+len(two.closed) > 0 {
					t.Fatal("an idle link ended")
				}
				began := time.Now()
				cut(nf, ff)
				var silent *SilentError
				var err error
				select { // the first hears nothing; when it closes, so may the other
				case err = <-two.closed:
					err = errors.Join(err, <-one.closed)
				case err = <-one.closed:
					err = errors.Join(err, <-two.closed)
				}
				if took := time.Since(began); took > 500*time.Millisecond || took < 200*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				if !errors.As(err, &silent) {
					t.Errorf("heard %v", err)
				}
			})
		})
	}
}

// TestSlowLinesAreNotSilent: a frame that takes seconds is a sign of life by every byte of it.
func TestSlowLinesAreNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(1 << 10)
		slow := &throttled{Conn: far}
		one, two := newSession(), newSession()
		d, _ := both(t, near, slow, one, two)
		if err := d.Send(t.Context(), FirstType, make([]byte, 100<<10), nil, nil); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for len(two.frames()) == 0 && len(two.closed) == 0 {
			advance(100 * time.Millisecond)
		}
		if len(two.frames()) != 1 || time.Since(began) < 5*time.Second {
			t.Errorf("%d frames after %v", len(two.frames()), time.Since(began))
		}
		d.Close(nil)
		<-two.closed
	})
}

// throttled reads 1 KiB in 100 ms.
type throttled struct{ net.Conn }

func (c *throttled) Read(b []byte) (int, error) {
	if len(b) > 4<<10 { // not in the handshake
		time.Sleep(100 * time.Millisecond)
		b = b[:1<<10]
	}
	return c.Conn.Read(b)
}

// TestBackPressure: a session that takes nothing fills the peer's queue, and no more; the sender is not taken for dead meanwhile.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(64 << 10)
		one, two := newSession(), newSession()
		gate := make(chan struct{})
		two.frame = func(byte, []byte, *mem.Buf) error { <-gate; return nil }
		d, _ := both(t, near, far, one, two)
		body := make([]byte, 1000)
		queued := 0
		for d.TrySend(FirstType, body, nil, nil) == nil {
			if queued++; queued%1000 == 0 {
				synctest.Wait()
			}
		}
		if most := (2*maxQueued + 1<<20) / len(body); queued > most {
			t.Errorf("%d frames were queued, the most is %d", queued, most)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := d.Send(ctx, FirstType, body, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for room: %v", err)
		}
		done := make(chan error)
		go func() { done <- d.Send(t.Context(), FirstType, body, nil, nil) }()
		synctest.Wait()
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Close(nil)
		<-two.closed
	})
}

// TestStalledPeerIsLeft: one that goes on taking nothing for the time that a write may take.
func TestStalledPeerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(64 << 10)
		one, two := newSession(), newSession()
		gate := make(chan struct{})
		two.frame = func(byte, []byte, *mem.Buf) error { <-gate; return nil }
		d, _ := both(t, near, far, one, two)
		began := time.Now()
		if err := d.TrySend(FirstType, make([]byte, 1<<20), nil, nil); err != nil {
			t.Fatal(err)
		}
		_ = d.TrySend(FirstType, make([]byte, 1<<20), nil, nil)
		<-one.closed
		if took := time.Since(began); took < 5*time.Second || took > 11*time.Second {
			t.Errorf("it took %v", took)
		}
		close(gate)
		<-two.closed
	})
}

// TestDamageEndsTheLink: one flipped bit anywhere in a frame, and both sides say why.
func TestDamageEndsTheLink(t *testing.T) {
	frame := encoded(FirstType, "some body")
	for i := range frame {
		synctest.Test(t, func(t *testing.T) {
			near, far := memnet.Pipe(64 << 10)
			d, a := linked(t, near, far, Replication)
			two := newSession()
			go a.Run(two)
			bad := bytes.Clone(frame)
			bad[i] ^= 1 << (i % 8)
			_, _ = d.conn.Write(append(bad, frame...))
			err := <-two.closed
			var silent *SilentError
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge) && !(i < 4 && errors.As(err, &silent)) {
				t.Errorf("byte %d: %v", i, err)
			}
			if got := two.frames(); len(got) > 0 {
				t.Errorf("byte %d: a frame was delivered: %q", i, got)
			}
			d.Close(nil)
		})
	}
}

func encoded(kind byte, body string) []byte {
	b := newBatch(1 << 20)
	b.begin(kind)
	b.Append([]byte(body))
	if err := b.End(); err != nil {
		panic(err)
	}
	return b.buf
}

func TestFrameBeyondTheLimit(t *testing.T) {
	near, far := memnet.Pipe(64 << 10)
	d, a := linked(t, near, far, Raft)
	defer a.Close(nil)
	defer d.Close(nil)
	large := make([]byte, Raft.maxBody())
	owner := mem.Get(1)
	if err := d.TrySend(FirstType, []byte{1}, large, owner); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	owner.Release() // panics if the refused frame kept a reference and gave it back twice
	if !d.queue.empty() {
		t.Error("the refused frame is in the queue")
	}
}

// TestFillIsAskedAfterWake, and again while there is more; nothing is lost between Wake and the writer's sleep.
func TestFillIsAskedAfterWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(64 << 10)
		one, two := newSession(), newSession()
		ready := make(chan int, 10_000)
		one.fill = func(b *Batch) bool {
			for !b.Full() {
				select {
				case i := <-ready:
					b.Begin(FirstType)
					b.Append([]byte(fmt.Sprint(i)))
					_ = b.End()
				default:
					return false
				}
			}
			return true
		}
		d, _ := both(t, near, far, one, two)
		for i := range 10_000 {
			ready <- i
			d.Wake()
		}
		synctest.Wait()
		if got := two.frames(); len(got) != 10_000 || got[9999] != string(rune(FirstType))+"9999" {
			t.Errorf("%d frames arrived", len(got))
		}
		d.Close(nil)
		<-two.closed
	})
}

// TestLinkIsTwoGoroutines: Run's and the writer's.
func TestLinkIsTwoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe(64 << 10)
		d, a := linked(t, near, far, Control)
		synctest.Wait()
		before := runtime.NumGoroutine()
		one, two := newSession(), newSession()
		go d.Run(one)
		go a.Run(two)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more != 4 {
			t.Errorf("two ends are %d goroutines", more)
		}
		d.Close(nil)
		<-one.closed
		<-two.closed
	})
}

func TestCloseBeforeRun(t *testing.T) {
	near, far := memnet.Pipe(64 << 10)
	d, a := linked(t, near, far, Control)
	d.Close(nil)
	a.Close(errors.New("not wanted"))
	s := newSession()
	if err := d.Run(s); !errors.Is(err, ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	if err := <-s.closed; !errors.Is(err, ErrClosed) {
		t.Errorf("Closed: %v", err)
	}
	if a.Reason() == nil {
		t.Error("no reason")
	}
}
