package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

// authority signs the certificates of nodes.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	a := &authority{key: key, cert: cert, pool: x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// config is the TLS configuration of a node whose certificate names it.
func (a *authority) config(t *testing.T, node int) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(node) + 2), Subject: pkix.Name{CommonName: fmt.Sprintf("node-%d", node)}, DNSNames: []string{"cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequireAndVerifyClientCert,
		RootCAs: a.pool, ClientCAs: a.pool, ServerName: "cluster", MinVersion: tls.VersionTLS13,
	}
}

func byCommonName(s tls.ConnectionState, p Peer) error {
	if name := s.PeerCertificates[0].Subject.CommonName; name != fmt.Sprintf("node-%d", p.Node) {
		return fmt.Errorf("it names %s", name)
	}
	return nil
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	one, two := config(1), config(2)
	for _, c := range []*Config{&one, &two} {
		c.Auth = Auth{Identify: byCommonName}
	}
	certOne, certTwo := ours.config(t, 1), ours.config(t, 2)
	over := func(client, server *tls.Config) (near, far net.Conn) {
		a, b := memnet.Pipe(64 << 10)
		return tls.Client(a, client), tls.Server(b, server)
	}

	near, far := over(certOne, certTwo)
	d, a, derr, aerr := shakeOver(t, near, far, one, two, Replication, 2)
	if derr != nil || aerr != nil {
		t.Fatal(derr, aerr)
	}
	s1, s2 := newSession(), newSession()
	arrived := make(chan int, 1)
	s2.frame = func(_ byte, body []byte, _ *mem.Buf) error { arrived <- len(body); return nil }
	go d.Run(s1)
	go a.Run(s2)
	if err := d.TrySend(FirstType, []byte("hello"), make([]byte, 100_000), nil); err != nil {
		t.Fatal(err)
	}
	if n := <-arrived; n != 100_005 {
		t.Errorf("a body of %d bytes arrived", n)
	}
	d.Close(nil)
	var bye *GoodbyeError
	if err := <-s2.closed; !errors.As(err, &bye) {
		t.Errorf("over TLS: %v", err)
	}

	near, far = over(certOne, ours.config(t, 3)) // node 2 with the certificate of another
	_, _, derr, aerr = shakeOver(t, near, far, one, two, Replication, model.NoBroker)
	if derr == nil || !strings.Contains(derr.Error(), "it names node-3") || aerr == nil || !strings.Contains(aerr.Error(), "it names node-3") {
		t.Errorf("a false node: %v, %v", derr, aerr)
	}

	near, far = over(certOne, theirs.config(t, 2)) // a certificate of another authority
	if _, _, derr, aerr = shakeOver(t, near, far, one, two, Replication, 2); derr == nil || aerr == nil {
		t.Errorf("a strange authority: %v, %v", derr, aerr)
	}

	lax := certTwo.Clone() // a TLS configuration that asks for no certificate
	lax.ClientAuth = tls.NoClientCert
	near, far = over(certOne, lax)
	if _, _, _, aerr = shakeOver(t, near, far, one, two, Replication, 2); aerr == nil || !strings.Contains(aerr.Error(), "shows no certificate") {
		t.Errorf("no certificate: %v", aerr)
	}
}

// TestSecretIsBoundToTLS: who sits between two brokers, with a TLS session to each, cannot pass their proofs on.
func TestSecretIsBoundToTLS(t *testing.T) {
	ca := newAuthority(t)
	a, b := memnet.Pipe(64 << 10)
	c, d := memnet.Pipe(64 << 10)
	anybody := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	server := ca.config(t, 2)
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
