package link

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// howToTLS is what a person does about nodes of which only some use TLS.
const howToTLS = "give every node cluster-tls-cert, cluster-tls-key and cluster-tls-ca, and cluster-tls=optional for as long as not all of them have these"

// encrypted is a connection that is TLS.
type encrypted interface {
	Handshake() error
	ConnectionState() tls.ConnectionState
}

// Client is the dialer's end of TLS over conn, for Dial, which makes the handshake. plain, which may be nil, is called if the other end turns out to be
// a broker that uses no TLS.
func Client(conn net.Conn, cfg *tls.Config, plain func()) net.Conn {
	g := gather(conn, conn)
	return &secured{Conn: tls.Client(g, cfg), under: g, plain: plain}
}

// secured is a TLS connection under which bytes move in large pieces.
type secured struct {
	*tls.Conn
	under *gathered
	plain func()
}

// Close closes the connection without TLS's own goodbye, for which it would wait if the peer takes nothing. A link has its own, and its frames are whole or not.
func (s *secured) Close() error { return s.under.Close() }

// What a dialer's first bytes are.
type opening uint8

const (
	strange opening = iota
	chronik         // a handshake without TLS
	tlsHello
)

// openingSize is how many bytes tell what a dialer speaks: less than the shortest first message of either protocol.
const openingSize = 5

// classify tells what the first bytes are. A TLS record is type 22, version 3.x, and a length; magic and kind begin a handshake of this package.
func classify(b [openingSize]byte) opening {
	switch {
	case binary.BigEndian.Uint32(b[:]) == magic:
		return chronik
	case b[0] == 22 && b[1] == 3:
		return tlsHello
	}
	return strange
}

// lookAhead finds out what a dialer speaks, and answers TLS with TLS. A mismatch is refused in the clear: that much both can read.
func (h *handshake) lookAhead() error {
	if _, ok := h.conn.(encrypted); ok {
		return nil
	}
	var first [openingSize]byte
	if _, err := io.ReadFull(h.conn, first[:]); err != nil {
		return fmt.Errorf("the connection ended within the handshake: %w", err)
	}
	h.in = io.MultiReader(bytes.NewReader(first[:]), h.conn)
	auth := &h.cfg.Auth
	switch what := classify(first); {
	case what == strange:
		return errStranger()
	case what == tlsHello && auth.TLS == nil:
		return refuse(OneSidedTLS, "a node dialled with TLS, and node %d has no certificate for its links: %s", h.cfg.Node, howToTLS)
	case what == tlsHello:
		g := gather(h.conn, h.in)
		h.conn = &secured{Conn: tls.Server(g, auth.TLS()), under: g}
		h.in = h.conn
	case auth.demandsTLS():
		return refuse(OneSidedTLS, "a node dialled without TLS, and node %d demands it for its links: %s", h.cfg.Node, howToTLS)
	}
	return nil
}

// secure finishes the TLS handshake, if there is one, and takes from the session what is unique to it.
func (h *handshake) secure() error {
	t, ok := h.conn.(encrypted)
	if !ok {
		if h.cfg.Auth.demandsTLS() {
			return refuse(OneSidedTLS, "the connection is not TLS, and node %d demands it for its links: %s", h.cfg.Node, howToTLS)
		}
		return nil
	}
	if err := t.Handshake(); err != nil { // bounded by the connection's deadline
		return h.explain(err)
	}
	state := t.ConnectionState()
	var err error
	if h.binding, err = state.ExportKeyingMaterial(bindingLabel, nil, sha256.Size); err != nil {
		return fmt.Errorf("TLS: %w: use version 1.3", err)
	}
	return nil
}

// explain says what a failed TLS handshake means for who runs the nodes. The text is the same each time, so that it is logged once.
func (h *handshake) explain(err error) error {
	var head tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var unverified *tls.CertificateVerificationError
	switch s, _ := h.conn.(*secured); {
	case errors.As(err, &head) && binary.BigEndian.Uint32(head.RecordHeader[:]) == magic:
		if s != nil && s.plain != nil {
			s.plain()
		}
		return refuse(OneSidedTLS, "this node dials with TLS, and the one at %v has no certificate for its links: %s", h.conn.RemoteAddr(), howToTLS)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c := invalid.Cert
		return refuse(NotProved, "TLS: the certificate %q of the other side is valid from %s to %s only: replace it there, or set the clocks", c.Subject,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &unverified):
		return refuse(NotProved, "TLS: the certificate of the other side cannot be verified: %v", unverified.Err)
	}
	return h.alerted(err)
}

// errAlert: the other side has ended the TLS session.
var errAlert = errors.New("the other side does not accept this node's certificate")

// alerted marks what the other side of a TLS connection did not like. In TLS 1.3 the dialer hears of that when it reads for the first time.
func (h *handshake) alerted(err error) error {
	var op *net.OpError
	switch _, ok := h.conn.(encrypted); {
	case !ok:
		return err
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("TLS: %w (%w): have certificates of both from one authority, for clients and servers", errAlert, op.Err)
	}
	return fmt.Errorf("TLS: %w", err)
}
