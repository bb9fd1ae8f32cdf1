package peer

import (
	"context"
	"errors"
	"fmt"
	"net"

	"chronik/internal/link"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
)

// AskOptions says whom to ask, and as whom.
type AskOptions struct {
	Config  link.Config // the cluster ID is empty if this broker belongs to none
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Address string
	Node    model.BrokerID // that must answer; model.NoBroker: anybody
}

// Ask asks the broker at an address what it has (M5). It makes a link of its own for that, and asks once: an error says that nobody knows, which is never
// to be taken for empty. An answer from a broker of another cluster is a *link.HandshakeError if this one belongs to one.
func Ask(ctx context.Context, o AskOptions) (Possession, error) {
	conn, err := o.Dial(ctx, o.Address)
	if err != nil {
		return Possession{}, fmt.Errorf("asking %s what it has: %w", o.Address, err)
	}
	l, err := link.Dial(ctx, conn, o.Config, link.Control, o.Node)
	if err != nil {
		return Possession{}, fmt.Errorf("asking %s what it has: %w", o.Address, err)
	}
	to := newCaller(l)
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.Run(to)
	}()
	body, err := to.call(ctx, Probe, nil)
	l.Close(nil)
	<-over
	if err != nil {
		return Possession{}, fmt.Errorf("asking %s what it has: %w", o.Address, outward(Probe, l.Peer().Node, err))
	}
	return readPossession(l.Peer(), body)
}

// readPossession reads an answer, which has to fit what the link says.
func readPossession(peer link.Peer, body []byte) (Possession, error) {
	var a peerpb.ProbeReply
	err := peerpb.UnmarshalAnswer(body, &a)
	var p Possession
	if err == nil {
		p, err = getPossession(&a)
	}
	if err == nil && (p.Node != peer.Node || p.ClusterID != peer.ClusterID) {
		err = fmt.Errorf("%w: it says that it is node %d of cluster %q, the link that it is node %d of cluster %q", ErrInvalid, p.Node, p.ClusterID, peer.Node, peer.ClusterID)
	}
	if err != nil {
		return Possession{}, garbled(Probe, peer.Node, err)
	}
	return p, nil
}

// outward is an error of a call to one broker, as callers outside see it.
func outward(m Method, node model.BrokerID, err error) error {
	var unsent *notSent
	if errors.As(err, &unsent) {
		return &UnavailableError{Whom: fmt.Sprintf("node %d, for %v,", node, m), Why: unsent.cause}
	}
	return err
}
