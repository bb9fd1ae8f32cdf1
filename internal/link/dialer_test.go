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
		if len(a) < 120 || len(a) > 250 {
			t.Fatalf("%d attempts in 30 s", len(a))
		}
		limit := 20 * time.Millisecond
		same := 0
		for i := range min(len(a), len(b)) {
			if a[i] < limit/2 || a[i] > limit {
				t.Errorf("wait %d is %v, want %v to %v", i, a[i], limit/2, limit)
			}
			if limit = min(2*limit, 250*time.Millisecond); a[i] == b[i] {
				same++
			}
		}
		if same > 5 {
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
		if len(heard) > 0 || len(waits) < 39 || len(waits) > 81 {
			t.Errorf("heard %v, %d attempts in 10 s", heard, len(waits))
		}
	})
}

// TestDialerAfterACut: however long the network swallowed everything, there is a link within half a second of its return.
func TestDialerAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		serveAt(t, n, "two:1", config(2), func(*Link) Session { return newSession() })
		j := &journal{}
		n.Partition("one", "two")
		dialerTo(t, n, "two:1", j, 1)
		var worst time.Duration
		for i := range 50 {
			advance(2*time.Second + time.Duration(i)*37*time.Millisecond)
			n.Heal("one", "two")
			began := time.Now()
			for up := 0; up <= i; {
				advance(time.Millisecond)
				heard, _ := j.state()
				up = (len(heard) + 1) / 2
			}
			worst = max(worst, time.Since(began))
			n.Partition("one", "two")
		}
		t.Logf("the longest of 50 took %v", worst)
		if worst > 450*time.Millisecond {
			t.Errorf("a link came %v after the network", worst)
		}
	})
}

// TestCutWithinTheHandshake: the next attempt follows after a second, longer ones only for a peer that is there and slow.
func TestCutWithinTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		n.SetDelay(time.Hour)
		serveAt(t, n, "two:1", config(2), func(*Link) Session { return newSession() })
		j := &journal{}
		dialerTo(t, n, "two:1", j, 1)
		advance(500 * time.Millisecond)
		n.SetDelay(0)
		advance(600 * time.Millisecond)
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1]" {
			t.Errorf("1.1 s after the cut began: %v", heard)
		}
	})
}

// TestSlowPeerGetsItsTime: one whose handshake takes seconds has a link in the end.
func TestSlowPeerGetsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		n.SetDelay(900 * time.Millisecond) // a handshake is two times there and back
		slow := config(2)
		slow.Timing.Silence = 10 * time.Second
		serveAt(t, n, "two:1", slow, func(*Link) Session { return newSession() })
		j := &journal{}
		dialerTo(t, n, "two:1", j, 1)
		advance(1200*time.Millisecond + 2200*time.Millisecond + 4*time.Second)
		if heard, _ := j.state(); len(heard) == 0 || heard[0] != "up 1" {
			t.Errorf("heard %v", heard)
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

// TestSeveralAddresses: they are tried in turn until the node answers at one. The link stays while its address is among them.
func TestSeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		j := &journal{}
		serveAt(t, n, "two:1", config(3), func(*Link) Session { return newSession() }) // another node has the address now
		d := dialerTo(t, n, "two:1", j, 1)
		advance(5 * time.Second)
		serveAt(t, n, "two:3", config(2), func(*Link) Session { return newSession() })
		d.Retarget("two:1", "two:2", "two:3")
		advance(2 * time.Second)
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1]" {
			t.Fatalf("with three addresses, the last of which is the node's, heard %v", heard)
		}
		d.Retarget("two:3", "two:9")
		d.Retarget()
		advance(time.Second)
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1]" {
			t.Errorf("with other addresses beside that of the link, heard %v", heard)
		}
		d.Retarget("two:2", "two:1")
		advance(2 * time.Second)
		if heard, _ := j.state(); fmt.Sprint(heard) != "[up 1 down 1]" {
			t.Errorf("without the address of the link, heard %v", heard)
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
