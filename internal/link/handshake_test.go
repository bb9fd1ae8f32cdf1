package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/memnet"
	"chronik/internal/model"
)

func TestHandshakeTellsWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := config(1), config(2)
		one.Epoch = func() model.BrokerEpoch { return 77 }
		var admitted Peer
		two.Admit = func(p Peer) error { admitted = p; return nil }
		d, a, derr, aerr := shakeHands(t, one, two, Replication, 2)
		if derr != nil || aerr != nil {
			t.Fatal(derr, aerr)
		}
		p := d.Peer()
		if p.Node != 2 || p.Epoch != model.NoBrokerEpoch || p.ClusterID != "cluster" || p.Role != Replication || p.Version != 1 {
			t.Errorf("the dialer sees %+v", p)
		}
		if p := a.Peer(); p.Node != 1 || p.Epoch != 77 || p.Role != Replication || p != admitted {
			t.Errorf("the acceptor sees %+v, admitted %+v", p, admitted)
		}
		d.Close(nil)
		a.Close(nil)
	})
}

// TestHandshakeRefuses: whatever does not fit is refused with the same reason on both sides (E5).
func TestHandshakeRefuses(t *testing.T) {
	with := func(f func(*Config)) func(*Config) { return f }
	for name, c := range map[string]struct {
		dialer, acceptor func(*Config)
		role             Role
		expect           model.BrokerID
		code             Code
		want             string
	}{
		"another cluster":     {acceptor: with(func(c *Config) { c.ClusterID = "theirs" }), code: OtherCluster, want: `cluster "theirs"`},
		"no cluster":          {dialer: with(func(c *Config) { c.ClusterID = "" }), code: NoCluster, want: "does not belong to a cluster yet"},
		"no cluster here":     {acceptor: with(func(c *Config) { c.ClusterID = "" }), code: NoCluster, want: "node 2 does not belong to a cluster yet"},
		"another secret":      {acceptor: with(func(c *Config) { c.Auth.Secret = []byte("another one of 16") }), code: NotProved, want: "same shared secret"},
		"no secret here":      {dialer: with(func(c *Config) { c.Auth.Secret = nil }), code: NotProved, want: "node 2 has a shared secret and node 1 has none"},
		"no secret there":     {acceptor: with(func(c *Config) { c.Auth.Secret = nil }), code: NotProved, want: "node 1 has a shared secret and node 2 has none"},
		"another node":        {expect: 3, code: WrongNode, want: "node 2 answers where node 3 was dialled"},
		"ourselves":           {dialer: with(func(c *Config) { c.Node = 2 }), code: WrongNode, want: "both ends are node 2"},
		"too old":             {acceptor: with(func(c *Config) { c.Oldest, c.Newest = 3, 4 }), code: NoCommonVersion, want: "upgrade by one release"},
		"too new":             {dialer: with(func(c *Config) { c.Oldest, c.Newest = 3, 4 }), code: NoCommonVersion, want: "upgrade by one release"},
		"not admitted":        {acceptor: with(func(c *Config) { c.Admit = func(Peer) error { return errors.New("stale broker epoch") } }), code: Denied, want: "stale broker epoch"},
		"no such role":        {role: 9, code: BadRole, want: "role 9"},
		"certificate missing": {acceptor: with(func(c *Config) { c.Auth.Identify = func(tls.ConnectionState, Peer) error { return nil } }), code: OneSidedTLS, want: "node 2 demands it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, two := config(1), config(2)
				if c.dialer != nil {
					c.dialer(&one)
				}
				if c.acceptor != nil {
					c.acceptor(&two)
				}
				role, expect := c.role, c.expect
				if role == 0 {
					role = Replication
				}
				if expect == 0 {
					expect = model.NoBroker
				}
				_, _, derr, aerr := shakeHands(t, one, two, role, expect)
				for side, err := range map[string]error{"dialer": derr, "acceptor": aerr} {
					var e *HandshakeError
					if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Reason, c.want) {
						t.Errorf("the %s got %v, want code %d and %q", side, err, c.code, c.want)
					}
				}
			})
		})
	}
}

// TestVersionsMeet: the highest version that both speak (E5).
func TestVersionsMeet(t *testing.T) {
	for _, c := range []struct{ oldest1, newest1, oldest2, newest2, want Version }{
		{1, 2, 2, 3, 2}, {2, 3, 1, 2, 2}, {1, 2, 1, 2, 2}, {1, 9, 3, 4, 4},
	} {
		one, two := config(1), config(2)
		one.Oldest, one.Newest, two.Oldest, two.Newest = c.oldest1, c.newest1, c.oldest2, c.newest2
		d, a, derr, aerr := shakeHands(t, one, two, Raft, 2)
		if derr != nil || aerr != nil {
			t.Fatal(derr, aerr)
		}
		if d.Peer().Version != c.want || a.Peer().Version != c.want {
			t.Errorf("%+v: version %d and %d", c, d.Peer().Version, a.Peer().Version)
		}
		d.Close(nil)
		a.Close(nil)
	}
}

// TestNodeWithoutClusterMayAsk: a control link, and only that, goes to a node that has no cluster yet (M5).
func TestNodeWithoutClusterMayAsk(t *testing.T) {
	one, two := config(1), config(2)
	one.ClusterID = ""
	d, a, derr, aerr := shakeHands(t, one, two, Control, model.NoBroker)
	if derr != nil || aerr != nil {
		t.Fatal(derr, aerr)
	}
	if d.Peer().ClusterID != "cluster" || a.Peer().ClusterID != "" {
		t.Errorf("%+v, %+v", d.Peer(), a.Peer())
	}
	d.Close(nil)
	a.Close(nil)
}

// TestHandshakeIsBoundedInTime: on either side, whatever the other one does not say.
func TestHandshakeIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, side := range map[string]func(*memnet.Conn) error{
			"acceptor": func(c *memnet.Conn) error { _, err := Accept(context.Background(), c, config(1)); return err },
			"dialer":   func(c *memnet.Conn) error { _, err := Dial(context.Background(), c, config(1), Raft, 2); return err },
		} {
			near, far := memnet.Pipe(64 << 10)
			began := time.Now()
			err := side(near)
			if err == nil || !strings.Contains(err.Error(), "longer than 5s") || time.Since(began) != 5*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			if _, err := io.ReadAll(far); err != nil {
				t.Errorf("%s: the connection is not closed: %v", name, err)
			}
		}
	})
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := memnet.Pipe(64 << 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := Dial(ctx, near, config(1), Raft, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestReplayedHandshakeIsRefused: what a broker said once proves nothing to anybody later.
func TestReplayedHandshakeIsRefused(t *testing.T) {
	near, far := memnet.Pipe(64 << 10)
	tap := &tapped{Conn: near}
	d, a, derr, aerr := shakeOver(t, tap, far, config(1), config(2), Replication, 2)
	if derr != nil || aerr != nil {
		t.Fatal(derr, aerr)
	}
	d.Close(nil)
	a.Close(nil)
	replay, victim := memnet.Pipe(64 << 10)
	go func() { _, _ = replay.Write(tap.sent.Bytes()) }()
	_, err := Accept(t.Context(), victim, config(2))
	var e *HandshakeError
	if !errors.As(err, &e) || e.Code != NotProved || e.Remote {
		t.Errorf("a replay got %v", err)
	}
}

// TestProofsAreNotMirrored: an acceptor's proof does not pass for a dialer's, nor the other way round.
func TestProofsAreNotMirrored(t *testing.T) {
	cfg := config(1)
	h := handshake{cfg: &cfg, first: []byte("a"), second: []byte("b")}
	if bytes.Equal(h.proof(dialerLabel), h.proof(acceptorLabel)) {
		t.Error("both sides prove the same")
	}
	bound := h
	bound.binding = make([]byte, 32)
	if bytes.Equal(h.proof(dialerLabel), bound.proof(dialerLabel)) {
		t.Error("the TLS session is not part of the proof")
	}
}

type tapped struct {
	*memnet.Conn
	sent bytes.Buffer
}

func (c *tapped) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.Conn.Write(b)
}

// TestStrangersGetNoAnswer: what is no broker hears nothing that helps it.
func TestStrangersGetNoAnswer(t *testing.T) {
	for _, said := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x2c\x00\x12\x00\x03", "CHLK\x01\xff\xff", "CHLK\x01\x00\x00", "CHLK\x02\x00\x00"} {
		near, far := memnet.Pipe(64 << 10)
		_, _ = near.Write([]byte(said))
		_ = near.CloseWrite()
		if _, err := Accept(t.Context(), far, config(1)); err == nil {
			t.Errorf("%q became a link", said)
		}
		if answer, _ := io.ReadAll(near); len(answer) > 0 {
			t.Errorf("%q was answered with %q", said, answer)
		}
	}
}

func TestCheckBind(t *testing.T) {
	good := Auth{Secret: []byte(secret)}
	for _, c := range []struct {
		address string
		auth    Auth
		want    error
	}{
		{"127.0.0.1:9291", Auth{}, nil}, {"[::1]:9291", Auth{}, nil}, {"localhost:9291", Auth{}, nil}, {"127.8.8.8:1", Auth{}, nil},
		{"0.0.0.0:9291", Auth{}, ErrOpenBind}, {":9291", Auth{}, ErrOpenBind}, {"[::]:9291", Auth{}, ErrOpenBind},
		{"10.0.0.1:9291", Auth{}, ErrOpenBind}, {"broker-1:9291", Auth{}, ErrOpenBind}, {"0.0.0.0:9291", good, nil},
		{"0.0.0.0:9291", Auth{Identify: func(tls.ConnectionState, Peer) error { return nil }}, nil},
		{"127.0.0.1:9291", Auth{Secret: []byte("short")}, ErrWeakSecret},
	} {
		if err := CheckBind(c.address, c.auth); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.address, err, c.want)
		}
	}
	if err := CheckBind("nonsense", Auth{}); err == nil {
		t.Error("an address without a port passed")
	}
	weak := config(1)
	weak.Auth.Secret = []byte("short")
	near, _ := memnet.Pipe(100)
	if _, err := Dial(t.Context(), near, weak, Raft, 2); !errors.Is(err, ErrWeakSecret) {
		t.Errorf("a weak secret: %v", err)
	}
}
