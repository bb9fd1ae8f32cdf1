package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/peer/peerpb"
)

// vanishing is brokers that are gone without a word: nothing that they or others say arrives any more, not even that a connection was closed.
type vanishing struct {
	gone sync.Map // of hosts
}

// dial makes a broker's connections such that they can be lost like that.
func (v *vanishing) dial(from string, dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		to, _, _ := net.SplitHostPort(address)
		lost := func() bool { return v.is(from) || v.is(to) }
		if lost() {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		conn, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return &severed{Conn: conn, lost: lost}, nil
	}
}

func (v *vanishing) is(host string) bool {
	_, gone := v.gone.Load(host)
	return gone
}

// severed is a connection that may lose its network.
type severed struct {
	net.Conn
	lost  func() bool
	until atomic.Pointer[time.Time]
}

func (s *severed) SetReadDeadline(t time.Time) error {
	s.until.Store(&t)
	return s.Conn.SetReadDeadline(t)
}

func (s *severed) Write(b []byte) (int, error) {
	if s.lost() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s *severed) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if !s.lost() {
			return n, err
		}
		if errors.Is(err, io.EOF) { // the other end has closed, and that is not heard here
			if until := s.until.Load(); until != nil {
				time.Sleep(time.Until(*until))
			}
			return 0, os.ErrDeadlineExceeded
		}
		if err != nil {
			return 0, err
		}
	}
}

// TestControllerVanishes: wherever a heartbeat just is, the next controller hears of the broker within 400 ms of the time from which it is one; so a session of
// 600 ms lasts through a failover that takes 200 ms, and one that was lost is back soon after.
func TestControllerVanishes(t *testing.T) {
	var worst time.Duration
	for i := range 40 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.lead(2)
			_, o, _ := keep(t, w.brokers[1].client)
			time.Sleep(2*time.Second + time.Duration(i)*7*time.Millisecond)
			o.take()
			w.net.gone.Store(host(2), true)
			time.Sleep(time.Duration(i%8) * 150 * time.Millisecond) // until there is another
			w.lead(3)
			began := time.Now()
			for before := len(w.brokers[3].heard()); !acts(w.brokers[3], before); {
				time.Sleep(time.Millisecond)
			}
			worst = max(worst, time.Since(began))
			time.Sleep(2 * time.Second)
			if heard, _ := o.take(); len(heard) > 0 && heard[len(heard)-1] != "back" {
				t.Errorf("the session of broker 1: %q", heard)
			}
		})
	}
	t.Logf("the longest of 40 took %v", worst)
	if worst > 400*time.Millisecond {
		t.Errorf("the new controller heard a heartbeat after %v", worst)
	}
}

// acts tells whether a broker has heard a heartbeat after so many calls.
func acts(b *broker, before int) bool { return len(b.heard()) > before }

// TestCallsToAVanishedBroker: one that is under way ends within the link's silence, and one that is made later at once, with nothing done.
func TestCallsToAVanishedBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.lead(2)
		w.brokers[2].set(fake{forward: func(ctx context.Context, _ Caller, _ ClientRequest) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		pool := w.brokers[1].pool
		body, err := peerpb.Marshal(nil, putClientRequest(ClientRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := pool.call(within(t, time.Minute), 2, Forward, body)
			done <- err
		}()
		time.Sleep(time.Second)
		w.net.gone.Store(host(2), true)
		began := time.Now()
		if err := <-done; !errors.Is(err, ErrUnknown) || time.Since(began) > 600*time.Millisecond {
			t.Errorf("a call under way: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		var unsent *notSent
		if _, err := pool.call(within(t, time.Minute), 2, Forward, body); !errors.As(err, &unsent) || time.Since(began) > connectWait {
			t.Errorf("a later one: %v after %v", err, time.Since(began))
		}
		time.Sleep(3 * time.Second)
		w.net.gone.Clear()
		began = time.Now()
		w.brokers[2].set(fake{})
		for {
			if _, err := pool.call(within(t, time.Minute), 2, Forward, body); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("after the network's return it took %v", took)
		}
	})
}
