package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/memnet"
	"chronik/internal/model"
)

// journal is an Owner that writes down what it hears.
type journal struct {
	session func() Session

	mu    sync.Mutex
	heard []string
	waits []time.Duration
	link  *Link
}

func (j *journal) Up(l *Link, generation uint64) Session {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard = append(j.heard, fmt.Sprintf("up %d", generation))
	j.link = l
	if j.session != nil {
		return j.session()
	}
	return newSession()
}

func (j *journal) Down(generation uint64, reason error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard = append(j.heard, fmt.Sprintf("down %d", generation))
}

func (j *journal) Failed(_ error, again time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waits = append(j.waits, again)
}

func (j *journal) state() (heard []string, waits []time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.heard...), append([]time.Duration(nil), j.waits...)
}

// advance lets virtual time pass.
func advance(d time.Duration) { time.Sleep(d) }

// serveAt runs a Server of node 2.
func serveAt(t *testing.T, n *memnet.Network, address string, cfg Config, open func(*Link) Session) {
	t.Helper()
	listener, err := n.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Config: func() Config { return cfg }, Open: open}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func dialerTo(t *testing.T, n *memnet.Network, address string, owner Owner, seed uint64) *Dialer {
	t.Helper()
	d := NewDialer(DialerOptions{
		Config: config(1), Role: Control, Node: 2, Address: address, Owner: owner, Seed: seed,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return n.Dial(ctx, "one", address) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return d
}

func TestDialerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		var accepted atomic.Int64
		serveAt(t, n, "two:1", config(2), func(l *Link) Session {
			if accepted.Add(1); l.Peer().Node != 1 {
				t.Errorf("%+v", l.Peer())
			}
			return newSession()
		})
		j := &journal{}
		dialerTo(t, n, "two:1", j, 1)
		for range 3 {
			advance(5 * time.Second)
			n.Partition("one", "two")
			advance(10 * time.Second)
			n.Heal("one", "two")
		}
		advance(10 * time.Second)
		heard, _ := j.state()
		want := []string{"up 1", "down 1", "up 2", "down 2", "up 3", "down 3", "up 4"}
		if fmt.Sprint(heard) != fmt.Sprint(want) {
			t.Errorf("heard %v", heard)
		}
		if n := accepted.Load(); n != 4 {
			t.Errorf("%d links were accepted", n)
		}
	})
}

// TestDialersDoNotThunder: waits double up to the most, and those of two brokers differ.
func TestDialersDoNotThunder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		one, two := &journal{}, &journal{}
		dialerTo(t, n, "nobody:1", one, 1)
		dialerTo(t, n, "nobody:1", two, 2)
		advance(30 * time.Second)
		_, a := one.state()
		_, b := two.state()
		if len(a) < 30 || len(a) > 70 {
			t.Fatalf("%d attempts in 30 s", len(a))
		}
		limit := 20 * time.Millisecond
		same := 0
		for i := range min(len(a), len(b)) {
			if a[i] < limit/2 || a[i] > limit {
				t.Errorf("wait %d is %v, want %v to %v", i, a[i], limit/2, limit)
			}
			if limit = min(2*limit, time.Second); a[i] == b[i] {
				same++
			}
		}
		if same > 2 {
			t.Errorf("%d of %d waits are the same for two brokers", same, len(a))
		}
	})
}

// TestRefusedDialerIsPatient: what a person has to change is not asked for fifty times a second.
func TestRefusedDialerIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		other := config(2)
		other.ClusterID = "theirs"
		serveAt(t, n, "two:1", other, func(*Link) Session { return newSession() })
		j := &journal{}
		dialerTo(t, n, "two:1", j, 1)
		advance(10 * time.Second)
		heard, waits := j.state()
		if len(heard) > 0 || len(waits) < 9 || len(waits) > 21 {
			t.Errorf("heard %v, %d attempts in 10 s", heard, len(waits))
		}
	})
}

func TestKickAndRetarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		j := &journal{}
		d := dialerTo(t, n, "two:1", j, 1)
		advance(10 * time.Second)
		serveAt(t, n, "two:2", config(2), func(*Link) Session { return newSession() })
		d.Retarget("two:2")
		synctest.Wait()
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1]" {
			t.Fatalf("heard %v at once", heard)
		}
		serveAt(t, n, "two:3", config(2), func(*Link) Session { return newSession() })
		d.Retarget("two:3")
		advance(5 * time.Second)
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1 down 1 up 2]" {
			t.Errorf("heard %v", heard)
		}
	})
}

// TestStrangersDoNotKeepBrokersOut: however many connections say nothing, a broker gets its link.
func TestStrangersDoNotKeepBrokersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		serveAt(t, n, "two:1", config(2), func(*Link) Session { return newSession() })
		for range 3 * maxPending {
			if _, err := n.Dial(t.Context(), "stranger", "two:1"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		began := time.Now()
		conn, err := n.Dial(t.Context(), "one", "two:1")
		if err != nil {
			t.Fatal(err)
		}
		l, err := Dial(t.Context(), conn, config(1), Control, 2)
		if err != nil || time.Since(began) > 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		l.Close(nil)
	})
}

func TestServerReportsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		listener, err := n.Listen("two:1")
		if err != nil {
			t.Fatal(err)
		}
		refused := make(chan error, 1)
		s := &Server{
			Config: func() Config { return config(2) }, Open: func(*Link) Session { return newSession() },
			Refused: func(_ net.Addr, err error) { refused <- err },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, listener) }()
		conn, _ := n.Dial(t.Context(), "one", "two:1")
		wrong := config(1)
		wrong.Auth.Secret = []byte("0123456789abcdef")
		if _, err := Dial(t.Context(), conn, wrong, Control, model.NoBroker); err == nil {
			t.Error("a wrong secret made a link")
		}
		var e *HandshakeError
		if err := <-refused; !errors.As(err, &e) || e.Code != NotProved {
			t.Errorf("refused: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
