package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/config"
	"chronik/internal/link"
	"chronik/internal/link/certs/certstest"
)

// TestCredentials: a node that strangers can reach has a secret or certificates, and a mistake in them says which setting it is in (E5).
func TestCredentials(t *testing.T) {
	ca := certstest.NewAuthority("ours")
	cert, key := ca.Issue(certstest.Request{})
	files := map[string][]byte{"secret": []byte("sixteen bytes at least\n"), "empty": []byte(" \n"), "cert": cert, "key": key, "ca": ca.PEM}
	tls := config.ClusterTLS{Certificate: "cert", Key: "key", Authorities: "ca"}
	broken := tls
	broken.Key = "ca"
	for name, c := range map[string]struct {
		addr, secret string
		tls          config.ClusterTLS
		want         string // of the error
		ok           func(link.Auth) bool
	}{
		"nothing, on loopback": {addr: "127.0.0.1:1", ok: func(a link.Auth) bool { return a.Secret == nil && a.Identify == nil }},
		"nothing":              {addr: "host:1", want: "--cluster-tls-cert"},
		"a secret":             {addr: "host:1", secret: "secret", ok: func(a link.Auth) bool { return string(a.Secret) == "sixteen bytes at least" && a.TLS == nil }},
		"an empty secret":      {addr: "host:1", secret: "empty", want: "openssl rand"},
		"no such secret":       {addr: "host:1", secret: "none", want: "cluster-secret-file"},
		"certificates":         {addr: "host:1", tls: tls, ok: func(a link.Auth) bool { return a.Secret == nil && a.Identify != nil && a.TLS().MinVersion > 0 }},
		"both":                 {addr: "host:1", tls: tls, secret: "secret", ok: func(a link.Auth) bool { return a.Secret != nil && a.Identify != nil && !a.AllowPlain }},
		"no key":               {addr: "host:1", tls: broken, want: "cluster-tls-key"},
	} {
		n := &Node{settings: &config.Server{RaftAddr: c.addr, SecretFile: c.secret, TLS: c.tls}, env: Env{
			Log:  slog.New(slog.DiscardHandler),
			Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody") },
			ReadFile: func(name string) ([]byte, error) {
				if b, ok := files[name]; ok {
					return b, nil
				}
				return nil, fs.ErrNotExist
			},
		}}
		cl := newCluster(n)
		err := cl.credentials()
		cl.stop()
		cl.running.Wait()
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || c.want == "" && (err != nil || !c.ok(cl.auth)) {
			t.Errorf("%s: %+v, %v; want %q", name, cl.auth, err, c.want)
		}
	}
}

// TestComplaintsAreNotRepeated: the log of a node with a neighbour that does not fit, or in a hostile network, stays short.
func TestComplaintsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newComplaints(slog.New(slog.NewTextHandler(&out, nil)))
		from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 1}
		for i := range 600 {
			from.Port = 1000 + i
			c.refused(from, &link.HandshakeError{Code: link.OneSidedTLS, Reason: "no TLS"})
			c.refused(from, &link.HandshakeError{Code: link.NotALink, Reason: "a stranger"})
			c.refused(from, errors.New("the connection ended"))
			time.Sleep(200 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\n"); n != 2 || strings.Count(out.String(), "no TLS") != 2 {
			t.Errorf("%d lines in two minutes:\n%s", n, out.String())
		}
		for i := range 10 * maxComplaints {
			c.isNews(fmt.Sprint(i), time.Now())
		}
		if len(c.told) > maxComplaints {
			t.Errorf("%d complaints are remembered", len(c.told))
		}
	})
}
