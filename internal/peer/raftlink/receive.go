package raftlink

import (
	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/quorum"
)

// receiving is the session of a raft link that was accepted.
type receiving struct {
	transport *Transport
	link      *link.Link

	// Of the link's reader.

	from     quorum.Replica
	receiver Receiver // nil before the hello
	purpose  byte
	incoming *incoming // the snapshot that arrives; nil if none does
}

// Open returns what uses a raft link that was accepted.
func (t *Transport) Open(l *link.Link) link.Session {
	r := &receiving{transport: t, link: l}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.links[r] = struct{}{}
	if t.closed {
		l.Close(nil)
	}
	return r
}

// Frame implements link.Session.
func (r *receiving) Frame(kind byte, body []byte, _ *mem.Buf) error {
	switch {
	case r.receiver == nil && kind == typeHello:
		return r.greet(body)
	case kind == typeMessage && r.purpose == forMessages:
		m, err := decodeMessage(body)
		if err != nil {
			return err
		}
		if m.GetSnapshot() == nil { // it would have come beside it
			r.receiver.Receive(r.from, m)
		}
		return nil
	case kind == typeBegin && r.purpose == forSnapshots && r.incoming == nil:
		return r.begin(body)
	case kind == typePiece && r.incoming != nil:
		return r.incoming.add(body)
	}
	return misplaced(kind)
}

// greet learns who sends.
func (r *receiving) greet(body []byte) error {
	h, err := decodeHello(body)
	if err != nil {
		return err
	}
	from, receiver, err := r.transport.admit(r.link.Peer().Node, h)
	if err != nil {
		return err
	}
	r.from, r.receiver, r.purpose = from, receiver, h.purpose
	if heard := r.transport.opts.Heard; heard != nil && h.address != "" {
		heard(from, h.address)
	}
	r.transport.alive(from)
	return nil
}

// Drained implements link.Session.
func (r *receiving) Drained() {}

// Fill implements link.Session: what goes back is queued by who has it.
func (r *receiving) Fill(*link.Batch) bool { return false }

// Closed implements link.Session.
func (r *receiving) Closed(reason error) {
	r.transport.mu.Lock()
	delete(r.transport.links, r)
	r.transport.mu.Unlock()
	if r.incoming != nil {
		r.incoming.end(reason)
	}
}

var _ link.Session = (*receiving)(nil)
