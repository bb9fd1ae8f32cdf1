package raftlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/quorum"
)

const (
	// snapshotDial is the time for making a link for a snapshot, to one address.
	snapshotDial = 5 * time.Second
	// snapshotStall is how long the other side may make no progress with it.
	snapshotStall = 30 * time.Second
)

var (
	errSending  = errors.New("a snapshot is on its way to that replica already")
	errNowhere  = errors.New("nobody knows where the replica is")
	errStalled  = errors.New("the other side has made no progress with the snapshot for too long")
	errComplete = errors.New("the snapshot is done")
)

// SendSnapshot implements quorum.Transport.
func (t *Transport) SendSnapshot(to quorum.Replica, m *pb.Message, snapshot io.Reader, size int64, done func(error)) {
	addresses := t.opts.Addresses(to)
	t.mu.Lock()
	var refusal error
	switch {
	case t.closed:
		refusal = link.ErrClosed
	case t.sending[to]:
		refusal = errSending
	case len(addresses) == 0 || to == t.opts.Self:
		refusal = errNowhere
	default:
		t.sending[to] = true
		t.running.Add(1)
	}
	t.mu.Unlock()
	if refusal != nil {
		done(refusal)
		return
	}
	go func() {
		defer t.running.Done()
		err := t.sendSnapshot(to, addresses, m, snapshot, size)
		if err != nil {
			t.opts.Log.Warn("a snapshot of the metadata did not get to a replica; the quorum tries again", "to", to.String(), "bytes", size, "error", err)
		}
		t.mu.Lock()
		delete(t.sending, to)
		t.mu.Unlock()
		done(err)
	}()
}

// sendSnapshot makes a link, and sends a snapshot over it.
func (t *Transport) sendSnapshot(to quorum.Replica, addresses []string, m *pb.Message, snapshot io.Reader, size int64) error {
	message, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	l, err := t.linkForSnapshot(to, addresses)
	if err != nil {
		return err
	}
	h := hello{from: t.opts.Self.Directory, to: to.Directory, purpose: forSnapshots, address: t.opts.Reach}
	s := &outgoing{link: l, hello: h.encode(), begin: encodeBegin(size, message), source: snapshot, left: size, credit: window}
	s.stall = time.AfterFunc(snapshotStall, func() { l.Close(errStalled) })
	defer s.stall.Stop()
	defer context.AfterFunc(t.ctx, func() { l.Close(context.Cause(t.ctx)) })()
	l.Wake()
	reason := l.Run(s)
	if s.outcome != nil {
		return *s.outcome
	}
	return reason
}

// linkForSnapshot makes a link to a replica at whichever address it is.
func (t *Transport) linkForSnapshot(to quorum.Replica, addresses []string) (*link.Link, error) {
	var errs []error
	for _, address := range addresses {
		ctx, cancel := context.WithTimeout(t.ctx, snapshotDial)
		conn, err := t.opts.Dial(ctx, address)
		if err == nil {
			var l *link.Link
			if l, err = link.Dial(ctx, conn, t.opts.Config, link.Raft, to.Node); err == nil {
				cancel()
				return l, nil
			}
		}
		cancel()
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// outgoing is the session of a link that a snapshot is sent over.
type outgoing struct {
	link  *link.Link
	stall *time.Timer

	// Of the link's writer.

	hello, begin []byte // nil once they were sent
	source       io.Reader
	left         int64

	mu     sync.Mutex
	credit int

	// Of the link's reader, and after it has ended.

	outcome *error // what the other side says of it
}

// Fill implements link.Session.
func (s *outgoing) Fill(b *link.Batch) (more bool) {
	if s.hello != nil {
		b.Begin(typeHello)
		b.Append(s.hello)
		_ = b.End() // it is small
		b.Begin(typeBegin)
		b.Append(s.begin)
		if err := b.End(); err != nil {
			s.link.Close(err)
			return false
		}
		s.hello, s.begin = nil, nil
	}
	for s.left > 0 && !b.Full() {
		n := s.take()
		if n == 0 {
			return false // until there is credit
		}
		piece := make([]byte, n)
		if _, err := io.ReadFull(s.source, piece); err != nil {
			s.link.Close(fmt.Errorf("reading the snapshot: %w", err))
			return false
		}
		b.Begin(typePiece)
		b.Attach(piece, nil)
		_ = b.End() // it is small
		s.left -= int64(n)
	}
	return s.left > 0
}

// take takes credit for a piece; 0 if there is none.
func (s *outgoing) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int(min(int64(min(s.credit, pieceBytes)), s.left))
	s.credit -= n
	return n
}

// Frame implements link.Session.
func (s *outgoing) Frame(kind byte, body []byte, _ *mem.Buf) error {
	s.stall.Reset(snapshotStall)
	switch kind {
	case typeCredit:
		n, err := decodeCredit(body)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.credit += n
		over := s.credit > window
		s.mu.Unlock()
		if over {
			return fmt.Errorf("%w: more credit than there is", link.ErrDamaged)
		}
		s.link.Wake()
		return nil
	case typeReceived:
		var outcome error
		if len(body) > 0 {
			outcome = fmt.Errorf("the other side: %q", body[:min(len(body), maxWhy)])
		}
		s.outcome = &outcome
		return errComplete
	}
	return misplaced(kind)
}

// Drained implements link.Session.
func (s *outgoing) Drained() {}

// Closed implements link.Session.
func (s *outgoing) Closed(error) {}

var _ link.Session = (*outgoing)(nil)
