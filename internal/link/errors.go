package link

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/model"
)

// Code says why a handshake was refused. The numbers are on the wire.
type Code uint8

// The codes.
const (
	_               Code = iota
	NotALink             // what came is not the handshake of a broker
	NoCommonVersion      // the releases are too far apart
	OtherCluster         // the brokers belong to different clusters
	WrongNode            // the node is not the one that was dialled, or is ourselves
	NotProved            // the secrets differ, only one side has one, or the certificate does not name the node
	Denied               // Config.Admit would not have the peer
	BadRole              // the acceptor does not know what the link would be for
	OneSidedTLS          // only one side uses TLS
	NoCluster            // one belongs to none yet: it is only starting, or waits with an empty directory
)

// HandshakeError tells why there is no link. It is the same on both sides, but for who says it.
type HandshakeError struct {
	Code   Code
	Reason string
	Remote bool // the peer refused; else we did
}

// Error is the reason, with who gave it. A peer's words are quoted: they may come from anybody.
func (e *HandshakeError) Error() string {
	if e.Remote {
		return fmt.Sprintf("the peer refuses the link: %q", e.Reason)
	}
	return e.Reason
}

func refuse(c Code, format string, args ...any) *HandshakeError {
	return &HandshakeError{Code: c, Reason: fmt.Sprintf(format, args...)}
}

// Why a link ended, for errors.Is and errors.As.
var (
	// ErrClosed: this side closed the link.
	ErrClosed = errors.New("the link is closed")
	// ErrDamaged: what arrived is not what the peer sent, or the peer does not keep to the protocol.
	ErrDamaged = errors.New("damaged frame")
	// ErrTooLarge: a frame exceeds what its role may send.
	ErrTooLarge = errors.New("frame too large")
	// ErrFull: the link's queue has no room now.
	ErrFull = errors.New("the link's queue is full")
)

// SilentError: the peer sent nothing for as long as that.
type SilentError struct{ For time.Duration }

// Error says how long.
func (e *SilentError) Error() string {
	return fmt.Sprintf("nothing was heard from the peer for %v: its host or the network is gone", e.For)
}

// GoodbyeError: the peer closed the link and said why.
type GoodbyeError struct {
	Node   model.BrokerID
	Reason string
}

// Error quotes the peer.
func (e *GoodbyeError) Error() string {
	return fmt.Sprintf("node %d closed the link: %q", e.Node, e.Reason)
}
