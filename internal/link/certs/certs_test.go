package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/link"
	"chronik/internal/link/certs/certstest"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

var files = Files{Certificate: "cert", Key: "key", Authorities: "ca"}

// disk is files that change.
type disk struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (d *disk) read(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return b, nil
}

func (d *disk) set(files map[string][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.Copy(d.files, files)
}

// issued is the files of a broker.
func issued(ca *certstest.Authority, r certstest.Request) map[string][]byte {
	cert, key := ca.Issue(r)
	return map[string][]byte{"cert": cert, "key": key, "ca": ca.PEM}
}

func diskOf(ca *certstest.Authority, r certstest.Request) *disk {
	return &disk{files: issued(ca, r)}
}

// journal is a log.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// take returns what was logged since the last call.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func opened(t *testing.T, d *disk, optional bool) (*Keeper, *journal) {
	t.Helper()
	j := new(journal)
	k, err := Open(Options{Files: files, Read: d.read, Log: j.logger(), Optional: optional})
	if err != nil {
		t.Fatal(err)
	}
	return k, j
}

const secret = "sixteen bytes at least"

func config(node model.BrokerID, auth link.Auth) link.Config {
	return link.Config{ClusterID: "cluster", Node: node, Auth: auth}
}

// shake makes a link from node 1 to node 2, which listens at host.
func shake(t *testing.T, host string, one, two *Keeper) (d, a *link.Link, derr, aerr error) {
	t.Helper()
	return shakeAs(t, host, one.Dialer, config(1, one.Auth(nil)), config(2, two.Auth(nil)))
}

type dialFunc = func(context.Context, string) (net.Conn, error)

func shakeAs(t *testing.T, host string, wrap func(dialFunc) dialFunc, one, two link.Config) (d, a *link.Link, derr, aerr error) {
	t.Helper()
	near, far := memnet.Pipe(64 << 10)
	conn, err := wrap(func(context.Context, string) (net.Conn, error) { return near, nil })(t.Context(), host+":5001")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, aerr = link.Accept(t.Context(), far, two)
	}()
	d, derr = link.Dial(t.Context(), conn, one, link.Replication, 2)
	<-done
	for _, l := range []*link.Link{d, a} {
		if l != nil {
			l.Close(nil)
		}
	}
	return d, a, derr, aerr
}

func plainly(dial dialFunc) dialFunc { return dial }

// TestBothSidesAreVerified: each of them, and the same reason on both.
func TestBothSidesAreVerified(t *testing.T) {
	good := certstest.Request{Names: []string{"host", "chronik-node-1", "chronik-node-2"}}
	named := func(names ...string) certstest.Request { return certstest.Request{Names: names} }
	const refused = "does not accept this node's certificate"
	for name, c := range map[string]struct {
		one, two     certstest.Request
		host         string
		strange      bool   // node 2 has another authority
		expired      int    // the node whose certificate is over
		dials, hears string // what the dialer and the acceptor say; empty: there is a link
	}{
		"both are right":       {one: good, two: good},
		"no names":             {one: named(), two: named("host")},
		"another authority":    {one: good, two: good, strange: true, dials: "unknown authority", hears: refused},
		"another host":         {one: good, two: good, host: "elsewhere", dials: "not elsewhere", hears: refused},
		"the dialer expired":   {one: good, two: good, expired: 1, dials: refused, hears: "valid from"},
		"the acceptor expired": {one: good, two: good, expired: 2, dials: "valid from", hears: refused},
		"the dialer's name":    {one: named("chronik-node-3"), two: good, dials: "it is for node [3]", hears: "it is for node [3]"},
		"the acceptor's name":  {one: good, two: named("host", "chronik-node-9"), dials: "it is for node [9]", hears: "it is for node [9]"},
		"no number":            {one: named("chronik-node-x"), two: good, dials: "a node's number", hears: "a node's number"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours := certstest.NewAuthority("ours")
				theirs := ours
				if c.strange {
					theirs = certstest.NewAuthority("theirs")
				}
				for id, r := range map[int]*certstest.Request{1: &c.one, 2: &c.two} {
					if id == c.expired {
						r.Until = time.Now().Add(time.Minute)
					}
				}
				one, _ := opened(t, diskOf(ours, c.one), false)
				two, _ := opened(t, diskOf(theirs, c.two), false)
				time.Sleep(time.Hour)
				if c.host == "" {
					c.host = "host"
				}
				_, _, derr, aerr := shake(t, c.host, one, two)
				for who, x := range map[string]struct {
					err  error
					want string
				}{"dialer": {derr, c.dials}, "acceptor": {aerr, c.hears}} {
					if (x.err == nil) != (x.want == "") || x.err != nil && !strings.Contains(x.err.Error(), x.want) {
						t.Errorf("the %s got %v, want %q", who, x.err, x.want)
					}
				}
			})
		})
	}
}

// TestSecretBesideTLS: where both have certificates and one a secret, or another one, there is no link.
func TestSecretBesideTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certstest.NewAuthority("ours")
		k, _ := opened(t, diskOf(ca, certstest.Request{Names: []string{"host"}}), false)
		for _, c := range []struct {
			one, two string
			code     link.Code
		}{{secret, secret, 0}, {secret, "", link.NotProved}, {"", secret, link.NotProved}, {secret, "another one of sixteen", link.NotProved}} {
			_, _, derr, aerr := shakeAs(t, "host", k.Dialer, config(1, k.Auth([]byte(c.one))), config(2, k.Auth([]byte(c.two))))
			var d, a *link.HandshakeError
			if c.code == 0 {
				if derr != nil || aerr != nil {
					t.Errorf("the same secret: %v, %v", derr, aerr)
				}
			} else if !errors.As(derr, &d) || !errors.As(aerr, &a) || d.Code != c.code || a.Code != c.code {
				t.Errorf("secrets %q and %q: %v, %v", c.one, c.two, derr, aerr)
			}
		}
	})
}

// TestOneSidedTLS: both ends say what is missing, and where.
func TestOneSidedTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certstest.NewAuthority("ours")
		k, _ := opened(t, diskOf(ca, certstest.Request{Names: []string{"host"}}), false)
		plain := link.Auth{Secret: []byte(secret)}
		for name, c := range map[string]struct {
			wrap     func(dialFunc) dialFunc
			one, two link.Auth
		}{
			"the dialer has it":   {k.Dialer, k.Auth([]byte(secret)), plain},
			"the acceptor has it": {plainly, plain, k.Auth([]byte(secret))},
		} {
			_, _, derr, aerr := shakeAs(t, "host", c.wrap, config(1, c.one), config(2, c.two))
			for who, err := range map[string]error{"dialer": derr, "acceptor": aerr} {
				var e *link.HandshakeError
				if !errors.As(err, &e) || e.Code != link.OneSidedTLS || !strings.Contains(e.Reason, "cluster-tls-cert") {
					t.Errorf("%s: the %s got %v", name, who, err)
				}
			}
		}
	})
}

// TestOptionalTLS: for the time of a change, nodes with and without certificates have links both ways, and TLS wherever both can.
func TestOptionalTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certstest.NewAuthority("ours")
		k, _ := opened(t, diskOf(ca, certstest.Request{Names: []string{"host"}}), true)
		strict, _ := opened(t, diskOf(ca, certstest.Request{Names: []string{"host"}}), false)
		plain := link.Auth{Secret: []byte(secret)}
		optional, required := k.Auth([]byte(secret)), strict.Auth([]byte(secret))
		if _, _, derr, aerr := shakeAs(t, "host", plainly, config(1, plain), config(2, optional)); derr != nil || aerr != nil {
			t.Errorf("from a node without: %v, %v", derr, aerr)
		}
		if _, _, derr, _ := shakeAs(t, "host", k.Dialer, config(1, optional), config(2, plain)); derr == nil {
			t.Error("the first attempt at a node without TLS made a link with it")
		}
		if _, _, derr, aerr := shakeAs(t, "host", k.Dialer, config(1, optional), config(2, plain)); derr != nil || aerr != nil {
			t.Errorf("to a node without, for the second time: %v, %v", derr, aerr)
		}
		time.Sleep(plainTime) // what it was is forgotten: by now it may have been restarted
		for name, two := range map[string]link.Auth{"optional": optional, "required": required} {
			if _, _, derr, aerr := shakeAs(t, "host", k.Dialer, config(1, optional), config(2, two)); derr != nil || aerr != nil {
				t.Errorf("from optional to %s: %v, %v", name, derr, aerr)
			}
		}
		if _, _, derr, aerr := shakeAs(t, "host", strict.Dialer, config(1, required), config(2, optional)); derr != nil || aerr != nil {
			t.Errorf("from required to optional: %v, %v", derr, aerr)
		}
		if err := link.CheckBind("host:5001", k.Auth(nil)); !errors.Is(err, link.ErrPlain) {
			t.Errorf("optional without a secret: %v", err)
		}
	})
}

// TestReload: what changes in the files counts for new links within the time of a look, and only if it can be used.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young := certstest.NewAuthority("old"), certstest.NewAuthority("young")
		names := certstest.Request{Names: []string{"host"}}
		one, two := diskOf(old, names), diskOf(old, names)
		k1, j1 := opened(t, one, false)
		k2, j2 := opened(t, two, false)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k1.Run(ctx) })
		running.Go(func() { k2.Run(ctx) })
		defer running.Wait()
		defer stop()
		check := func(when string) {
			t.Helper()
			time.Sleep(2*lookEvery + time.Second)
			if _, _, derr, aerr := shake(t, "host", k1, k2); derr != nil || aerr != nil {
				t.Fatalf("%s: %v, %v", when, derr, aerr)
			}
		}
		check("at first")
		both := append(append([]byte(nil), old.PEM...), young.PEM...)
		one.set(map[string][]byte{"ca": both})
		two.set(map[string][]byte{"ca": both})
		check("two authorities")
		renewed := issued(young, names)
		delete(renewed, "ca")
		one.set(renewed)
		check("node 1 has a certificate of the new authority")
		if said := j1.take(); strings.Count(said, "were changed; new links") != 2 || strings.Contains(said, "cannot") {
			t.Errorf("node 1 says %s", said)
		}

		two.set(map[string][]byte{"cert": renewed["cert"]}) // the key has not come yet
		check("a certificate without its key")
		if said := j2.take(); strings.Count(said, "cannot be used") != 1 {
			t.Errorf("of files that do not fit together node 2 says %s", said)
		}
		two.set(map[string][]byte{"key": renewed["key"]})
		check("and with it")
		two.set(map[string][]byte{"ca": young.PEM})
		one.set(map[string][]byte{"ca": young.PEM})
		check("the old authority is gone")
		if said := j2.take(); strings.Count(said, "were changed; new links") != 2 {
			t.Errorf("node 2 says %s", said)
		}
	})
}

// TestExpiryIsAnnounced: two weeks ahead, once a day, until the file is replaced; of an authority too.
func TestExpiryIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		ca := certstest.NewAuthorityUntil("brief", time.Now().Add(40*day))
		d := diskOf(ca, certstest.Request{Until: time.Now().Add(20 * day)})
		k, j := opened(t, d, false)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		time.Sleep(5*day + time.Hour)
		if said := j.take(); said != "" {
			t.Errorf("15 days ahead: %s", said)
		}
		time.Sleep(3 * day)
		if said := j.take(); strings.Count(said, "level=WARN") != 3 || !strings.Contains(said, "CN=chronik") || !strings.Contains(said, "days=13") {
			t.Errorf("12 days ahead: %s", said)
		}
		time.Sleep(13 * day)
		if said := j.take(); strings.Count(said, "level=ERROR") < 1 || !strings.Contains(said, "has expired") {
			t.Errorf("after the end: %s", said)
		}
		d.set(issued(ca, certstest.Request{}))
		time.Sleep(time.Minute)
		if said := j.take(); strings.Contains(said, "expires soon") || !strings.Contains(said, "were changed") {
			t.Errorf("replaced: %s", said)
		}
		time.Sleep(6 * day) // now it is the authority's turn
		if said := j.take(); !strings.Contains(said, "CN=brief") {
			t.Errorf("the authority ends: %s", said)
		}
		stop()
		<-done
	})
}

// TestOpenRefuses what other brokers would refuse, and says which file it is.
func TestOpenRefuses(t *testing.T) {
	ours, theirs := certstest.NewAuthority("ours"), certstest.NewAuthority("theirs")
	good := issued(ours, certstest.Request{})
	other := issued(theirs, certstest.Request{})
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no certificate":     {map[string][]byte{"key": good["key"], "ca": good["ca"]}, "cluster-tls-cert"},
		"no key":             {map[string][]byte{"cert": good["cert"], "ca": good["ca"]}, "cluster-tls-key"},
		"another key":        {map[string][]byte{"cert": good["cert"], "key": other["key"], "ca": good["ca"]}, "does not match"},
		"another authority":  {map[string][]byte{"cert": good["cert"], "key": good["key"], "ca": other["ca"]}, "cluster-tls-cert cert cannot be that of a server"},
		"a key as authority": {map[string][]byte{"cert": good["cert"], "key": good["key"], "ca": good["key"]}, "cluster-tls-ca ca: it holds a PRIVATE KEY"},
		"nothing of a list":  {map[string][]byte{"cert": good["cert"], "key": good["key"], "ca": []byte("hello")}, "not a list of certificates"},
		"half a list":        {map[string][]byte{"cert": good["cert"], "key": good["key"], "ca": append([]byte(nil), append(good["ca"], good["ca"][:50]...)...)}, "not a list of certificates"},
		"expired":            {issued(ours, certstest.Request{Until: time.Now().Add(-time.Minute)}), "expired"},
		"for servers only":   {issued(ours, certstest.Request{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), "a client (clientAuth)"},
		"for clients only":   {issued(ours, certstest.Request{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "a server (serverAuth)"},
	} {
		_, err := Open(Options{Files: files, Read: (&disk{files: c.files}).read, Log: new(journal).logger()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
