package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"chronik/internal/model"
)

// Version numbers the protocol between brokers, this package's and that of all roles.
type Version uint16

// What this release speaks: its own version and the one before (E5). Version 1 is the first.
const (
	OldestVersion Version = 1
	NewestVersion Version = 1
)

// Role is what a link is for.
type Role uint8

// The roles.
const (
	Raft        Role = 1 // messages of the metadata quorum
	Replication Role = 2 // from a follower to a leader; records flow back
	Control     Role = 3 // requests to another broker or to the active controller
)

// String names the role for log lines.
func (r Role) String() string {
	switch r {
	case Raft:
		return "raft"
	case Replication:
		return "replication"
	case Control:
		return "control"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

func (r Role) known() bool { return r >= Raft && r <= Control }

// maxBody is the largest body of a frame, in bytes: the largest request of a client, 100 MiB, and what is wrapped around it. Raft sends large
// snapshots in pieces.
func (r Role) maxBody() int {
	if r == Raft {
		return 32 << 20
	}
	return 101 << 20
}

// Auth is how brokers prove that they belong together. There is a secret or TLS wherever strangers can connect, see CheckBind; with both, both have to
// be right.
type Auth struct {
	// Secret is shared by all brokers of the cluster: at least MinSecret bytes, or none.
	Secret []byte
	// TLS, if not nil, returns the configuration for connections that are accepted now. It has to demand and verify a certificate. Connections that are
	// dialled are made with Client.
	TLS func() *tls.Config
	// Identify, if not nil, demands that every connection be TLS with a certificate of the peer that the TLS configuration has verified, and
	// says whether that certificate is the node's that the peer claims to be.
	Identify func(tls.ConnectionState, Peer) error
	// AllowPlain lets connections without TLS in beside those with it, for the time in which a cluster changes from a secret alone to TLS. They need
	// the Secret.
	AllowPlain bool
}

// demandsTLS tells whether a connection without TLS is refused.
func (a *Auth) demandsTLS() bool { return (a.Identify != nil || a.TLS != nil) && !a.AllowPlain }

// MinSecret is the fewest bytes that a secret has. Whoever lets a broker dial him can try secrets at his leisure.
const MinSecret = 16

// Timing bounds how long things take. Zero values mean the defaults.
type Timing struct {
	Handshake time.Duration // a whole handshake; 5 s
	Silence   time.Duration // without a byte from the peer until it counts as gone; 500 ms
	Stall     time.Duration // one write, until a peer that takes nothing counts as broken; 10 s
}

func (t Timing) withDefaults() Timing {
	if t.Handshake <= 0 {
		t.Handshake = 5 * time.Second
	}
	if t.Silence <= 0 {
		t.Silence = 500 * time.Millisecond
	}
	if t.Stall <= 0 {
		t.Stall = 10 * time.Second
	}
	return t
}

// Config is what a broker says of itself, and demands of others, on all of its links.
type Config struct {
	// ClusterID is empty as long as the broker belongs to no cluster. It gets no links then but control ones, by which it finds one.
	ClusterID string
	Node      model.BrokerID
	// Epoch returns the present broker epoch; nil, or model.NoBrokerEpoch, before the broker is registered.
	Epoch func() model.BrokerEpoch
	Auth  Auth
	// Oldest and Newest are the versions offered; 0 means those of this release.
	Oldest, Newest Version
	Timing         Timing
	// Admit, if not nil, has the last word on a peer that dialled and has proved itself. Its error is told to the peer.
	Admit func(Peer) error
}

const maxClusterID = 64

// check finds mistakes of the caller's configuration.
func (c *Config) check() error {
	switch {
	case len(c.ClusterID) > maxClusterID:
		return fmt.Errorf("the cluster ID has %d bytes, the most is %d", len(c.ClusterID), maxClusterID)
	case c.Node < 0:
		return fmt.Errorf("node ID %d cannot name a broker: use 0 or a larger one", c.Node)
	case len(c.Auth.Secret) > 0 && len(c.Auth.Secret) < MinSecret:
		return ErrWeakSecret
	case c.Auth.AllowPlain && len(c.Auth.Secret) == 0:
		return ErrPlain
	}
	return nil
}

func (c *Config) versions() (oldest, newest Version) {
	oldest, newest = c.Oldest, c.Newest
	if oldest == 0 {
		oldest = OldestVersion
	}
	if newest == 0 {
		newest = NewestVersion
	}
	return oldest, newest
}

func (c *Config) epoch() model.BrokerEpoch {
	if c.Epoch == nil {
		return model.NoBrokerEpoch
	}
	return c.Epoch()
}

// Peer is the broker at the other end, as its hello says and its proof vouches for.
type Peer struct {
	ClusterID string // empty if it belongs to none
	Node      model.BrokerID
	Epoch     model.BrokerEpoch // when the link began; model.NoBrokerEpoch if it was not registered
	Role      Role
	Version   Version // the one that both speak
	Address   net.Addr
}

// ErrWeakSecret is returned for a secret that is too short.
var ErrWeakSecret = fmt.Errorf("the cluster's shared secret has fewer than %d bytes: make one with `openssl rand -base64 32` and give it to every broker", MinSecret)

// ErrPlain is returned where connections without TLS would be let in and nothing else tells who is there.
var ErrPlain = errors.New("TLS between brokers cannot be optional without a shared secret: give every broker the same one, or require TLS")

// ErrOpenBind is what errors.Is reports for an address that strangers could reach on a broker that would believe them.
var ErrOpenBind = errors.New("brokers could be impersonated")

// CheckBind refuses to listen for brokers beyond this machine without a secret or mTLS (E5). The address has the form host:port.
func CheckBind(address string, a Auth) error {
	if len(a.Secret) > 0 && len(a.Secret) < MinSecret {
		return ErrWeakSecret
	}
	if a.AllowPlain && len(a.Secret) == 0 {
		return ErrPlain
	}
	if len(a.Secret) > 0 || a.Identify != nil {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the address for other brokers is not host:port: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %q can be reached from other machines, and there is neither a shared secret nor mTLS. "+
		"Give every broker the same secret (`openssl rand -base64 32` makes one) or certificates, or listen on 127.0.0.1", ErrOpenBind, address)
}
