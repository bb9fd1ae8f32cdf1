package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/link"
	"chronik/internal/model"
)

const (
	// lookEvery is how often the files are read.
	lookEvery = 10 * time.Second
	// warnAhead is how long before a certificate expires the log begins to say so, and warnEvery how often it does.
	warnAhead = 14 * 24 * time.Hour
	warnEvery = 24 * time.Hour
	// plainTime is how long a node that was found to use no TLS is dialled without.
	plainTime = 10 * time.Second
	// nodeName begins a name in a certificate that says which node it is for.
	nodeName = "chronik-node-"
)

// Options says whose certificates a Keeper keeps.
type Options struct {
	Files Files
	Read  func(name string) ([]byte, error)
	Log   *slog.Logger
	// Optional is for the change of a cluster from a secret alone to TLS: nodes without it are dialled, and let in, too. It needs the secret.
	Optional bool
}

// Keeper has the certificates of a broker at hand, as they are in its files now.
type Keeper struct {
	opts    Options
	present atomic.Pointer[set]

	// Of Run, after Open.

	used, seen hash // what is in use, and what the files held at the last look
	fault      string
	warned     time.Time

	mu    sync.Mutex
	plain map[string]time.Time // addresses without TLS, and until when that is believed
}

// Open reads the files. It fails if other brokers would not accept what is in them.
func Open(o Options) (*Keeper, error) {
	k := &Keeper{opts: o, plain: make(map[string]time.Time)}
	cert, key, authorities, err := o.Files.contents(o.Read)
	if err != nil {
		return nil, err
	}
	s, err := o.Files.parse(cert, key, authorities, time.Now())
	if err != nil {
		return nil, err
	}
	k.present.Store(s)
	k.used = hashOf(cert, key, authorities)
	k.seen = k.used
	k.warn(time.Now())
	return k, nil
}

// Run looks at the files until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			k.look(time.Now())
			k.warn(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// look takes what has changed. Files that do not fit together may be about to be replaced one after the other: that is said only if it is so at the next look too.
func (k *Keeper) look(now time.Time) {
	cert, key, authorities, err := k.opts.Files.contents(k.opts.Read)
	sum := hashOf(cert, key, authorities)
	again := sum == k.seen
	k.seen = sum
	if err == nil && sum == k.used {
		k.fault = ""
		return
	}
	var s *set
	if err == nil {
		s, err = k.opts.Files.parse(cert, key, authorities, now)
	}
	if err != nil {
		if text := err.Error(); again && text != k.fault {
			k.fault = text
			k.opts.Log.Error("the certificates for links to other nodes were changed and cannot be used; those before go on", "error", err)
		}
		return
	}
	k.present.Store(s)
	k.used, k.fault, k.warned = sum, "", time.Time{}
	k.opts.Log.Info("the certificates for links to other nodes were changed; new links use them", "expires", s.ends().NotAfter)
}

// warn says that a certificate is about to expire.
func (k *Keeper) warn(now time.Time) {
	c := k.present.Load().ends()
	left := c.NotAfter.Sub(now)
	if left > warnAhead || now.Sub(k.warned) < warnEvery {
		return
	}
	k.warned = now
	if left <= 0 {
		k.opts.Log.Error("a certificate for links to other nodes has expired: no link can be made until its file is replaced", "certificate", c.Subject.String(), "expired", c.NotAfter)
		return
	}
	k.opts.Log.Warn("a certificate for links to other nodes expires soon: replace its file, it is taken without a restart",
		"certificate", c.Subject.String(), "expires", c.NotAfter, "days", int(left/(24*time.Hour)))
}

// Auth is how this broker and others prove who they are, with these certificates and a secret, which may be empty.
func (k *Keeper) Auth(secret []byte) link.Auth {
	return link.Auth{
		Secret: secret, Identify: Identify, AllowPlain: k.opts.Optional,
		TLS: func() *tls.Config { return k.present.Load().server },
	}
}

// Identify holds the node that a peer claims to be against the names in its certificate.
func Identify(state tls.ConnectionState, p link.Peer) error {
	var named []model.BrokerID
	for _, name := range state.PeerCertificates[0].DNSNames {
		if id, ok := strings.CutPrefix(name, nodeName); ok {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				return fmt.Errorf("its name %q is not %s and a node's number", name, nodeName)
			}
			named = append(named, model.BrokerID(n))
		}
	}
	if len(named) > 0 && !slices.Contains(named, p.Node) {
		return fmt.Errorf("it is for node %v by its names %q", named, state.PeerCertificates[0].DNSNames)
	}
	return nil
}

// Dialer makes a dialer's connections TLS ones.
func (k *Keeper) Dialer(dial func(ctx context.Context, address string) (net.Conn, error)) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		conn, err := dial(ctx, address)
		if err != nil || k.isPlain(address) {
			return conn, err
		}
		cfg := k.present.Load().client.Clone()
		cfg.ServerName = host
		return link.Client(conn, cfg, func() { k.foundPlain(address) }), nil
	}
}

// foundPlain notes a node that uses no TLS, if that is allowed.
func (k *Keeper) foundPlain(address string) {
	if !k.opts.Optional {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plain[address] = time.Now().Add(plainTime)
}

func (k *Keeper) isPlain(address string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	until, ok := k.plain[address]
	if ok && !time.Now().Before(until) {
		delete(k.plain, address)
		ok = false
	}
	return ok
}
