package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// registerTime is what one attempt to register may take; another one follows.
const registerTime = 5 * time.Second

// Registrar is the active controller, as a Session needs it. Client implements it.
type Registrar interface {
	Register(context.Context, controller.Registration) (model.BrokerEpoch, error)
	Heartbeat(context.Context, controller.Heartbeat) (controller.HeartbeatReply, error)
}

// SessionOwner is the broker that a Session keeps alive. All methods but Registration, Applied and Follow are called one after the other, and must not
// block for long: heartbeats wait meanwhile.
type SessionOwner interface {
	// Registration is what to register with.
	Registration() controller.Registration
	// Applied is the index of the newest metadata entry that this broker has applied.
	Applied() uint64
	// Follow waits until this broker has applied the metadata up to an index.
	Follow(ctx context.Context, index uint64) error
	// Registered: this is the broker's epoch now.
	Registered(model.BrokerEpoch)
	// Back: the session holds. It is told after each registration too.
	Back()
	// Lost: the session has ended (R6): stop acknowledging acks=-1 and answering linearizable metadata. Session.Holds is false from that moment on, Lost may
	// come a little later. why is what was wrong with the last call; nil if there was none since, as when this process stood still.
	Lost(why error)
	// Changed: the controller takes the broker for something else than before.
	Changed(controller.HeartbeatReply)
	// Refused: the controller will not have the broker as it is. It is tried again.
	Refused(error)
	// Removed: the broker was unregistered. The Session ends.
	Removed(error)
}

// SessionOptions says whose session it is and how long it lasts.
type SessionOptions struct {
	Interval   time.Duration // broker.heartbeat.interval.ms
	Timeout    time.Duration // broker.session.timeout.ms
	Controller Registrar
	Owner      SessionOwner
}

// ErrRemoved is returned by Session.Run when the broker was unregistered.
var ErrRemoved = errors.New("this broker was removed from the cluster")

// Session keeps a broker registered, and alive in the eyes of the controller.
type Session struct {
	opts  SessionOptions
	pulse pulse // of Run's goroutine

	until atomic.Pointer[time.Time]
	epoch atomic.Int64
	kick  chan struct{}
	done  chan struct{} // closed when Run has returned

	mu       sync.Mutex
	wish     wish
	handed   chan struct{} // closed when the broker may stop
	departed chan struct{} // closed when it has left
	why      error         // that Run has returned
}

// NewSession makes a Session. Nothing happens before Run.
func NewSession(o SessionOptions) *Session {
	s := &Session{opts: o, pulse: newPulse(o.Interval, o.Timeout), kick: make(chan struct{}, 1), done: make(chan struct{}),
		handed: make(chan struct{}), departed: make(chan struct{})}
	s.until.Store(new(time.Time))
	s.epoch.Store(int64(model.NoBrokerEpoch))
	return s
}

// Holds tells whether an active controller was heard within the session (R6). It is right at each moment, also just after this process stood
// still, and cheap enough to ask before each acknowledgement.
func (s *Session) Holds() bool { return time.Now().Before(*s.until.Load()) }

// Epoch is the present broker epoch; model.NoBrokerEpoch as long as the broker is not registered.
func (s *Session) Epoch() model.BrokerEpoch { return model.BrokerEpoch(s.epoch.Load()) }

// HandOver asks the controller to have others lead what this broker leads, and returns when they do as far as they can. Heartbeats go on.
func (s *Session) HandOver(ctx context.Context) error { return s.await(ctx, toHandOver, s.handed) }

// Leave says goodbye to the controller, which fences the broker at once. Then the session is over.
func (s *Session) Leave(ctx context.Context) error { return s.await(ctx, toLeave, s.departed) }

func (s *Session) await(ctx context.Context, w wish, reached <-chan struct{}) error {
	s.mu.Lock()
	s.wish = max(s.wish, w)
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
	select {
	case <-reached:
		return nil
	case <-s.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-reached:
		return nil
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("the broker's session is over: %w", s.why)
	}
}

// result is what has come of a call.
type result struct {
	order order
	epoch model.BrokerEpoch
	reply controller.HeartbeatReply
	err   error
}

// Run registers the broker and sends heartbeats until the context ends, the broker has left (nil), or it was removed (ErrRemoved).
func (s *Session) Run(ctx context.Context) error {
	why := s.run(ctx)
	s.mu.Lock()
	s.why = why
	if why == nil {
		s.why = ErrClosed
	}
	s.mu.Unlock()
	s.until.Store(new(time.Time))
	close(s.done)
	return why
}

func (s *Session) run(ctx context.Context) error {
	results := make(chan result, 1)
	ctx, cancel := context.WithCancel(ctx)
	var last error // of the calls
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer func() {
		cancel()
		if s.pulse.calling {
			<-results
		}
	}()
	for {
		s.tell(s.pulse.check(time.Now(), s.opts.Owner.Applied()), last)
		if s.pulse.over {
			return nil
		}
		if o, ok := s.pulse.next(time.Now()); ok {
			go func() { results <- s.make(ctx, o) }()
		}
		timer.Stop()
		if at := s.pulse.wake(); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case <-timer.C:
		case r := <-results:
			last = r.err
			if events := s.take(r); s.tell(events, r.err) {
				return fmt.Errorf("%w: %w", ErrRemoved, r.err)
			}
		case <-s.kick:
			s.mu.Lock()
			s.pulse.want(s.wish)
			s.mu.Unlock()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// make makes a call.
func (s *Session) make(ctx context.Context, o order) result {
	r := result{order: o}
	limit := registerTime
	if !o.register {
		limit = max(s.opts.Timeout/2, 3*s.opts.Interval)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if o.register {
		r.epoch, r.err = s.opts.Controller.Register(ctx, s.opts.Owner.Registration())
		return r
	}
	r.reply, r.err = s.opts.Controller.Heartbeat(ctx, controller.Heartbeat{
		Epoch: int64(o.epoch), Applied: s.opts.Owner.Applied(), WantStop: o.wish >= toHandOver, Stopped: o.wish == toLeave,
	})
	if r.err == nil && o.anew && o.wish != toLeave {
		r.err = s.opts.Owner.Follow(ctx, r.reply.AsOf)
	}
	return r
}

func (s *Session) take(r result) []event {
	switch {
	case r.err != nil:
		return s.pulse.failed(r.order, r.err)
	case r.order.register:
		return s.pulse.enrolled(r.epoch)
	}
	return s.pulse.answered(time.Now(), r.order, r.reply)
}

// tell tells the owner, and reports whether the broker was removed. Holds is right before anybody hears of it.
func (s *Session) tell(events []event, err error) (gone bool) {
	until := s.pulse.until()
	s.until.Store(&until)
	s.epoch.Store(int64(s.pulse.epoch))
	for _, e := range events {
		switch e {
		case registered:
			s.opts.Owner.Registered(s.pulse.epoch)
		case back:
			s.opts.Owner.Back()
		case lost:
			s.opts.Owner.Lost(err)
		case changed:
			s.opts.Owner.Changed(s.pulse.state)
		case mayStop:
			s.reached(s.handed)
		case left:
			s.reached(s.handed)
			s.reached(s.departed)
		case refused:
			s.opts.Owner.Refused(err)
		case removed:
			s.opts.Owner.Removed(err)
			gone = true
		}
	}
	return gone
}

// reached closes a channel once.
func (s *Session) reached(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
