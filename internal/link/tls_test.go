package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/link/certs/certstest"
	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

// configOf is the TLS configuration of a node whose certificate names it.
func configOf(t testing.TB, ca *certstest.Authority, node int) *tls.Config {
	t.Helper()
	cert, key := ca.Issue(certstest.Request{Names: []string{"cluster", fmt.Sprintf("node-%d", node)}})
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM)
	return &tls.Config{
		Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, RootCAs: pool, ClientCAs: pool, ServerName: "cluster",
		MinVersion: tls.VersionTLS13, Time: time.Now, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	}
}

func byName(s tls.ConnectionState, p Peer) error {
	if names := s.PeerCertificates[0].DNSNames; names[1] != fmt.Sprintf("node-%d", p.Node) {
		return fmt.Errorf("it names %s", names[1])
	}
	return nil
}

// tlsConfig is that of a node whose links are TLS.
func tlsConfig(node model.BrokerID, c *tls.Config) Config {
	cfg := config(node)
	cfg.Auth = Auth{Identify: byName, TLS: func() *tls.Config { return c }}
	return cfg
}

func TestMutualTLS(t *testing.T) {
	ours := certstest.NewAuthority("ours")
	one, two := configOf(t, ours, 1), configOf(t, ours, 2)
	near, far := memnet.Pipe(64 << 10)
	d, a, derr, aerr := shakeOver(t, Client(near, one, nil), far, tlsConfig(1, one), tlsConfig(2, two), Replication, 2)
	if derr != nil || aerr != nil {
		t.Fatal(derr, aerr)
	}
	s1, s2 := newSession(), newSession()
	arrived := make(chan int, 10)
	s2.frame = func(_ byte, body []byte, _ *mem.Buf) error { arrived <- len(body); return nil }
	go d.Run(s1)
	go a.Run(s2)
	for _, size := range []int{0, 100_000, 17, 5 << 20} {
		if err := d.Send(t.Context(), FirstType, []byte("hello"), make([]byte, size), nil); err != nil {
			t.Fatal(err)
		}
		if n := <-arrived; n != size+5 {
			t.Errorf("a body of %d bytes arrived", n)
		}
	}
	d.Close(nil)
	var bye *GoodbyeError
	if err := <-s2.closed; !errors.As(err, &bye) {
		t.Errorf("over TLS: %v", err)
	}

	near, far = memnet.Pipe(64 << 10)
	_, _, derr, aerr = shakeOver(t, Client(near, one, nil), far, tlsConfig(1, one), tlsConfig(2, configOf(t, ours, 3)), Replication, model.NoBroker)
	if derr == nil || !strings.Contains(derr.Error(), "it names node-3") || aerr == nil || !strings.Contains(aerr.Error(), "it names node-3") {
		t.Errorf("node 2 with the certificate of another: %v, %v", derr, aerr)
	}

	bare := one.Clone()
	bare.Certificates = nil
	near, far = memnet.Pipe(64 << 10)
	_, _, derr, aerr = shakeOver(t, Client(near, bare, nil), far, tlsConfig(1, one), tlsConfig(2, two), Replication, 2)
	if !errors.Is(derr, errAlert) || aerr == nil || !strings.Contains(aerr.Error(), "didn't provide a certificate") {
		t.Errorf("no certificate: %v, %v", derr, aerr)
	}

	lax := two.Clone() // a TLS configuration that asks for no certificate
	lax.ClientAuth = tls.NoClientCert
	near, far = memnet.Pipe(64 << 10)
	if _, _, _, aerr = shakeOver(t, Client(near, one, nil), far, tlsConfig(1, one), tlsConfig(2, lax), Replication, 2); aerr == nil || !strings.Contains(aerr.Error(), "shows no certificate") {
		t.Errorf("nobody is asked for a certificate: %v", aerr)
	}
}

// TestCutWithinAWrite: a peer that takes nothing and says nothing is left in the same time as an idle one, also under TLS, whose own goodbye would wait
// for it.
func TestCutWithinAWrite(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, two := config(1), config(2)
				near, far := memnet.Pipe(4 << 10)
				cut := &fault{Conn: far}
				var dialled net.Conn = near
				if secure {
					ca := certstest.NewAuthority("ours")
					client := configOf(t, ca, 1)
					one, two = tlsConfig(1, client), tlsConfig(2, configOf(t, ca, 2))
					dialled = Client(near, client, nil)
				}
				d, a, derr, aerr := shakeOver(t, dialled, cut, one, two, Control, 2)
				if derr != nil || aerr != nil {
					t.Fatal(derr, aerr)
				}
				s1, s2 := newSession(), newSession()
				stuck := make(chan struct{})
				s2.frame = func(byte, []byte, *mem.Buf) error { <-stuck; return nil }
				go d.Run(s1)
				go a.Run(s2)
				advance(time.Minute)
				if len(s1.closed)+len(s2.closed) > 0 {
					t.Fatal("an idle link ended")
				}
				cut.mute.Store(true)
				began := time.Now()
				for range 3 {
					if err := d.TrySend(FirstType, make([]byte, 1<<20), nil, nil); err != nil {
						t.Fatal(err)
					}
				}
				var silent *SilentError
				if err := <-s1.closed; !errors.As(err, &silent) || time.Since(began) > 600*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				close(stuck)
				<-s2.closed
			})
		})
	}
}

// TestSecretIsBoundToTLS: who sits between two brokers, with a TLS session to each, cannot pass their proofs on.
func TestSecretIsBoundToTLS(t *testing.T) {
	ca := certstest.NewAuthority("ours")
	a, b := memnet.Pipe(64 << 10)
	c, d := memnet.Pipe(64 << 10)
	anybody := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	server := configOf(t, ca, 2)
	server.ClientAuth = tls.NoClientCert
	middleA, middleB := tls.Server(b, server), tls.Client(c, anybody)
	go pass(middleA, middleB)
	go pass(middleB, middleA)
	_, _, derr, aerr := shakeOver(t, tls.Client(a, anybody), tls.Server(d, server), config(1), config(2), Replication, 2)
	var e *HandshakeError
	if !errors.As(aerr, &e) || e.Code != NotProved || derr == nil {
		t.Errorf("through a man in the middle: %v, %v", derr, aerr)
	}
}

func pass(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			_ = to.Close()
			return
		}
	}
}
