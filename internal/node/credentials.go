package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"chronik/internal/config"
	"chronik/internal/link"
	"chronik/internal/link/certs"
)

// credentials reads by what this node knows others, and they know it (E5).
func (c *cluster) credentials() error {
	n := c.node
	c.dial = n.env.Dial
	var secret []byte
	if name := n.settings.SecretFile; name != "" {
		text, err := n.env.ReadFile(name)
		if err != nil {
			return fmt.Errorf("cluster-secret-file: %w", err)
		}
		if secret = []byte(strings.TrimSpace(string(text))); len(secret) == 0 {
			return fmt.Errorf("cluster-secret-file: %s is empty: `openssl rand -base64 32 > %s` fills it", name, name)
		}
	}
	c.auth = link.Auth{Secret: secret}
	if t := &n.settings.TLS; t.Enabled() {
		keeper, err := certs.Open(certs.Options{Files: filesOf(t), Read: n.env.ReadFile, Log: n.env.Log, Optional: t.Optional})
		if err != nil {
			return err
		}
		c.auth, c.dial = keeper.Auth(secret), keeper.Dialer(n.env.Dial)
		c.running.Go(func() { keeper.Run(c.run) })
	}
	if err := link.CheckBind(n.settings.RaftAddr, c.auth); err != nil {
		return fmt.Errorf("%w (--raft-addr, --cluster-secret-file, --cluster-tls-cert)", err)
	}
	return nil
}

func filesOf(t *config.ClusterTLS) certs.Files {
	return certs.Files{Certificate: t.Certificate, Key: t.Key, Authorities: t.Authorities}
}

const (
	// complainEvery is how often the log has the same complaint about the same host.
	complainEvery = time.Minute
	maxComplaints = 256
)

// complaints are what was wrong between this node and others, for the log. Whoever can reach the port can cause them: what is no broker is
// told at debug level only, and the same thing not again and again.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[string]time.Time
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, told: make(map[string]time.Time)}
}

// refused hears of a connection that did not become a link.
func (c *complaints) refused(from net.Addr, err error) {
	var h *link.HandshakeError
	if !errors.As(err, &h) || h.Code == link.NotALink {
		c.log.Debug("a connection to the port for other nodes was refused", "from", from.String(), "error", err)
		return
	}
	if h.Code == link.NoCluster {
		c.log.Debug("a node was told that this one is only starting, or is only starting itself", "from", from.String(), "error", err)
		return
	}
	host, _, _ := net.SplitHostPort(from.String())
	c.warn("a node was refused", host, err, "from", host)
}

// unanswered hears of a peer that was asked and does not fit.
func (c *complaints) unanswered(p config.Peer, err error) {
	var h *link.HandshakeError
	if errors.As(err, &h) {
		c.warn("a peer does not answer", p.Addr, err, "node", int32(p.ID), "address", p.Addr)
	}
}

func (c *complaints) warn(what, where string, err error, args ...any) {
	if c.isNews(where+" "+err.Error(), time.Now()) {
		c.log.Warn(what, append(args, "error", err)...)
	}
}

func (c *complaints) isNews(key string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.told[key]; ok && now.Sub(at) < complainEvery {
		return false
	}
	if len(c.told) >= maxComplaints {
		clear(c.told)
	}
	c.told[key] = now
	return true
}

// dialer is how connections to other nodes are made.
type dialer func(ctx context.Context, address string) (net.Conn, error)
