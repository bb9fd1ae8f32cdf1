package link

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

const secret = "sixteen bytes at least"

func config(node model.BrokerID) Config {
	return Config{ClusterID: "cluster", Node: node, Auth: Auth{Secret: []byte(secret)}}
}

// shakeHands runs both sides of a handshake over a connection.
func shakeHands(t *testing.T, dialer, acceptor Config, role Role, expect model.BrokerID) (d, a *Link, derr, aerr error) {
	t.Helper()
	near, far := memnet.Pipe(64 << 10)
	return shakeOver(t, near, far, dialer, acceptor, role, expect)
}

func shakeOver(t *testing.T, near, far net.Conn, dialer, acceptor Config, role Role, expect model.BrokerID) (d, a *Link, derr, aerr error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, aerr = Accept(context.Background(), far, acceptor)
	}()
	d, derr = Dial(context.Background(), near, dialer, role, expect)
	<-done
	return d, a, derr, aerr
}

// linked returns the two ends of a link.
func linked(t testing.TB, near, far net.Conn, role Role) (d, a *Link) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		var err error
		a, err = Accept(context.Background(), far, config(2))
		done <- err
	}()
	d, err := Dial(context.Background(), near, config(1), role, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return d, a
}

// session records what a link tells it.
type session struct {
	frame  func(kind byte, body []byte, buf *mem.Buf) error
	fill   func(*Batch) bool
	closed chan error

	mu      sync.Mutex
	got     []string // kind and body of each frame
	drained atomic.Int64
}

func newSession() *session { return &session{closed: make(chan error, 2)} }

func (s *session) Frame(kind byte, body []byte, buf *mem.Buf) error {
	if s.frame != nil {
		return s.frame(kind, body, buf)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(rune(kind))+string(body))
	return nil
}

func (s *session) Drained() { s.drained.Add(1) }

func (s *session) Fill(b *Batch) bool {
	if s.fill != nil {
		return s.fill(b)
	}
	return false
}

func (s *session) Closed(reason error) { s.closed <- reason }

func (s *session) frames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

// fault is a connection whose ways can be cut without a word, as by a pulled cable: what is written vanishes, and nothing arrives.
type fault struct {
	net.Conn
	mute, deaf atomic.Bool
}

func (f *fault) Write(b []byte) (int, error) {
	if f.mute.Load() {
		return len(b), nil
	}
	return f.Conn.Write(b)
}

func (f *fault) Read(b []byte) (int, error) {
	for {
		n, err := f.Conn.Read(b)
		if err != nil || !f.deaf.Load() {
			return n, err
		}
	}
}
