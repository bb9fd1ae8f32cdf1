package raftlink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/quorum"

	pb "go.etcd.io/raft/v3/raftpb"
)

// remote is a replica that is sent to: a queue, and a link that comes back when it is lost.
type remote struct {
	transport *Transport
	replica   quorum.Replica
	dialer    *link.Dialer
	stop      context.CancelFunc

	mu    sync.Mutex
	queue queue
	link  *link.Link // nil: there is none
	used  time.Time
	fault string // why there is no link, as it was logged
}

// send queues a message, or loses it.
func (r *remote) send(m *pb.Message) {
	r.mu.Lock()
	ok := r.queue.push(m)
	l := r.link
	r.used = time.Now()
	r.mu.Unlock()
	if !ok {
		r.transport.lost(r.replica)
	}
	if l != nil {
		l.Wake()
	}
}

// Up implements link.Owner.
func (r *remote) Up(l *link.Link, _ uint64) link.Session {
	t := r.transport
	h := hello{from: t.opts.Self.Directory, to: r.replica.Directory, purpose: forMessages, address: t.opts.Reach}
	r.mu.Lock()
	r.link, r.fault = l, ""
	r.mu.Unlock()
	l.Wake() // for the hello, and what is queued
	return &sender{remote: r, link: l, hello: h.encode()}
}

// Down implements link.Owner.
func (r *remote) Down(_ uint64, reason error) { r.drop(reason) }

// Failed implements link.Owner.
func (r *remote) Failed(err error, _ time.Duration) { r.drop(err) }

// drop loses what is queued: by the time there is a link again, Raft has better to say. Where nothing has been sent for long there is to be none.
func (r *remote) drop(why error) {
	text := why.Error()
	r.mu.Lock()
	r.queue = queue{}
	r.link = nil
	news := r.fault != text
	r.fault = text
	idle := time.Since(r.used) > idleTime
	r.mu.Unlock()
	if news && r.transport.ctx.Err() == nil {
		level := slog.LevelWarn
		var refused *link.HandshakeError
		if errors.As(why, &refused) && refused.Code == link.NoCluster {
			level = slog.LevelInfo // it is there, and soon more than that
		}
		r.transport.opts.Log.Log(r.transport.ctx, level, "no link to a replica of the metadata quorum; it is tried again", "to", r.replica.String(), "error", why)
	}
	r.transport.lost(r.replica)
	if idle {
		r.transport.giveUp(r)
	}
}

// sender is the session of a remote's link.
type sender struct {
	remote *remote
	link   *link.Link
	hello  []byte // nil once it was sent
}

// Frame implements link.Session. Nothing comes back on a link for messages.
func (s *sender) Frame(kind byte, _ []byte, _ *mem.Buf) error { return misplaced(kind) }

// Drained implements link.Session.
func (s *sender) Drained() {}

// Fill implements link.Session.
func (s *sender) Fill(b *link.Batch) (more bool) {
	if s.hello != nil {
		b.Begin(typeHello)
		b.Append(s.hello)
		_ = b.End() // it is small
		s.hello = nil
	}
	for {
		s.remote.mu.Lock()
		if b.Full() {
			more = !s.remote.queue.empty()
			s.remote.mu.Unlock()
			return more
		}
		m := s.remote.queue.pop()
		s.remote.mu.Unlock()
		if m == nil {
			return false
		}
		s.put(b, m)
	}
}

// put adds a message to a batch. One that cannot be sent, ever, is lost like others: Raft is made for that, and the log tells.
func (s *sender) put(b *link.Batch, m *pb.Message) {
	data, err := proto.Marshal(m)
	if err == nil {
		b.Begin(typeMessage)
		b.Attach(data, nil)
		err = b.End()
	}
	if err != nil {
		s.remote.transport.opts.Log.Error("a message of the metadata quorum cannot be sent", "to", s.remote.replica.Node, "type", m.GetType().String(), "error", err)
		s.remote.transport.lost(s.remote.replica)
	}
}

// Closed implements link.Session.
func (s *sender) Closed(error) {}

var (
	_ link.Owner   = (*remote)(nil)
	_ link.Session = (*sender)(nil)
)
