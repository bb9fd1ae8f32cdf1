package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
)

// What one peer may have going on at a time (E2). More is answered with ErrBusy.
const (
	maxCalls = 64          // in each lane
	maxBytes = 160 << 20   // of requests: one of the largest, and small ones beside it
	maxLinks = 8           // control links of one node
	slowCall = time.Second // that is worth a line in the log, if it is urgent
)

// Server answers the calls of other brokers, and this broker's own.
type Server struct {
	handlers Handlers
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	calls    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	peers  map[model.BrokerID]*load
}

// load is what one node has going on, over all of its links.
type load struct {
	links int
	calls [lanes]int
	bytes int
}

// NewServer makes a Server. Log may be nil.
func NewServer(h Handlers, log *slog.Logger) *Server {
	if log == nil {
		log = slog.Default()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Server{handlers: h, log: log, ctx: ctx, cancel: func() { cancel(fmt.Errorf("the broker is shutting down: %w", ErrClosed)) },
		peers: make(map[model.BrokerID]*load)}
}

// Close cancels what is being answered and returns when no handler runs any more. Links are closed by who runs them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.calls.Wait()
}

// Open returns what uses a control link that was accepted.
func (s *Server) Open(l *link.Link) link.Session {
	p := l.Peer()
	a := &answerer{server: s, link: l, from: Caller{Node: p.Node, ClusterID: p.ClusterID, Version: p.Version}, running: make(map[uint64]context.CancelCauseFunc)}
	a.ctx, a.cancel = context.WithCancelCause(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.load = s.peers[p.Node]
	if a.load == nil {
		a.load = new(load)
		s.peers[p.Node] = a.load
	}
	if a.load.links++; a.load.links > maxLinks {
		l.Close(fmt.Errorf("node %d has %d control links already", p.Node, maxLinks))
	}
	return a
}

// Local makes a call of this broker to itself. It is like any other call: nothing is shared between caller and handler.
func (s *Server) Local(ctx context.Context, from Caller, m Method, body []byte) ([]byte, error) {
	if !s.enter() {
		return nil, &notSent{ErrClosed}
	}
	defer s.calls.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	status, out := s.answer(ctx, from, m, body, nil)
	return readAnswer(m, from.Node, status, out)
}

// enter counts a call, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.calls.Add(1)
	}
	return !s.closed
}

// answer has a call handled and appends the answer's body to b.
func (s *Server) answer(ctx context.Context, from Caller, m Method, body, b []byte) (status byte, out []byte) {
	began := time.Now()
	reply, err := s.handlers.handle(ctx, from, m, body)
	if took := time.Since(began); took > slowCall && methods[m].lane == urgent {
		s.log.Warn("a call of another broker took long", "method", m.String(), "node", from.Node, "took", took, "error", err)
	}
	if err == nil {
		if out, err = peerpb.Marshal(b, reply); err == nil {
			return statusDone, out
		}
		err = &UnknownError{m, err} // it was done
	}
	return statusFailed, failed(b, err)
}

// failed appends a Failure.
func failed(b []byte, err error) []byte {
	out, bad := peerpb.Marshal(b, toFailure(err))
	if bad != nil { // a text that is not UTF-8
		out, _ = peerpb.Marshal(b, &peerpb.Failure{Kind: toFailure(err).Kind, Leader: int32(model.NoBroker)})
	}
	return out
}

// readAnswer is a method's answer, or the error that it tells of.
func readAnswer(m Method, node model.BrokerID, status byte, body []byte) ([]byte, error) {
	if status == statusDone {
		return body, nil
	}
	var f peerpb.Failure
	if err := peerpb.UnmarshalAnswer(body, &f); err != nil {
		return nil, &UnknownError{m, fmt.Errorf("the answer of node %d: %w", node, err)}
	}
	return nil, fromFailure(m, node, &f)
}

// answerer answers the calls of one link.
type answerer struct {
	server *Server
	link   *link.Link
	from   Caller
	load   *load // guarded by server.mu
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	running map[uint64]context.CancelCauseFunc
}

// Frame implements link.Session.
func (a *answerer) Frame(kind byte, body []byte, buf *mem.Buf) error {
	switch kind {
	case typeRequest:
		head, request, err := parseRequest(body)
		if err != nil {
			return err
		}
		return a.begin(head, request, buf)
	case typeCancel:
		number, err := parseCancel(body)
		if err != nil {
			return err
		}
		a.mu.Lock()
		cancel := a.running[number]
		a.mu.Unlock()
		if cancel != nil {
			cancel(errNobodyWaits)
		}
		return nil
	}
	return fmt.Errorf("%w: type %d has no place on a control link", link.ErrDamaged, kind)
}

var errNobodyWaits = errors.New("the caller waits no longer")

// Drained implements link.Session.
func (a *answerer) Drained() {}

// Fill implements link.Session: answers are queued by those who made them.
func (a *answerer) Fill(*link.Batch) bool { return false }

// Closed implements link.Session.
func (a *answerer) Closed(reason error) {
	a.cancel(reason)
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	a.load.links--
	s.forgetLocked(a.from.Node)
}

// begin has a request handled, or refuses it at once.
func (a *answerer) begin(head requestHead, request []byte, buf *mem.Buf) error {
	ctx, cancel := context.WithTimeoutCause(a.ctx, head.left, errTime)
	ctx, stop := context.WithCancelCause(ctx)
	end := func() { stop(nil); cancel() }
	a.mu.Lock()
	_, twice := a.running[head.number]
	a.running[head.number] = stop
	a.mu.Unlock()
	if twice {
		end()
		return fmt.Errorf("%w: call %d was made twice", link.ErrDamaged, head.number)
	}
	in := methods[head.method].lane
	if err := a.server.take(a.load, in, len(request)); err != nil {
		end()
		a.finish(head.number)
		return a.refuse(head.number, err)
	}
	buf.Retain()
	go func() {
		defer a.server.calls.Done()
		defer end()
		status, out := a.server.answer(ctx, a.from, head.method, request, make([]byte, answerHeader, 256))
		size := len(request)
		buf.Release()
		a.finish(head.number)
		a.send(head, status, out)
		a.server.give(a.load, a.from.Node, in, size)
	}()
	return nil
}

var errTime = errors.New("the caller's time is over")

func (a *answerer) finish(number uint64) {
	a.mu.Lock()
	delete(a.running, number)
	a.mu.Unlock()
}

// send queues an answer, and waits until there is room for it. If the link ends meanwhile nobody is told, and the caller's outcome is unknown.
func (a *answerer) send(head requestHead, status byte, out []byte) {
	appendAnswerHead(out[:0], head.number, status)
	err := a.link.Send(a.ctx, typeAnswer, nil, out, nil)
	if !errors.Is(err, link.ErrTooLarge) {
		return
	}
	text := &UnknownError{head.method, fmt.Errorf("the answer is too large: %w", err)}
	_ = a.link.Send(a.ctx, typeAnswer, appendAnswerHead(nil, head.number, statusFailed), failed(nil, text), nil)
}

// refuse answers a call that is not even begun. It must not wait, so it ends a link whose peer calls and does not read.
func (a *answerer) refuse(number uint64, why error) error {
	return a.link.TrySend(typeAnswer, appendAnswerHead(nil, number, statusFailed), failed(nil, why), nil)
}

// take counts a call of a peer, unless it has too many.
func (s *Server) take(p *load, in lane, bytes int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrBusy
	case p.calls[in] >= maxCalls, p.bytes > 0 && p.bytes+bytes > maxBytes:
		return ErrBusy
	}
	p.calls[in]++
	p.bytes += bytes
	s.calls.Add(1)
	return nil
}

func (s *Server) give(p *load, node model.BrokerID, in lane, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.calls[in]--
	p.bytes -= bytes
	s.forgetLocked(node)
}

// forgetLocked drops the count of a node that has nothing going on.
func (s *Server) forgetLocked(node model.BrokerID) {
	if p := s.peers[node]; p != nil && *p == (load{}) {
		delete(s.peers, node)
	}
}

var _ link.Session = (*answerer)(nil)
