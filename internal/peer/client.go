package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
	"chronik/internal/quorum"
	"chronik/internal/wait"
)

// The time between two rounds of attempts doubles from firstPause to mostPause. Each pause is a random part of it, at least half: all brokers lose a
// controller at the same moment.
const (
	firstPause = 10 * time.Millisecond
	mostPause  = 200 * time.Millisecond
	// hops is how many hints are followed without a pause. Two brokers that take each other for the controller are asked no more often.
	hops = 2
)

// ClientOptions says who may be the active controller, and how it is reached.
type ClientOptions struct {
	Self      model.BrokerID
	ClusterID string
	Local     *Server // answers when this broker is the active controller
	Pool      *Pool
	// Candidates are the brokers that may be the active controller, the voters: in any order, never none for long.
	Candidates func() []model.BrokerID
	// Leader is who this broker believes to lead the metadata quorum; nil: it does not know.
	Leader func() (model.BrokerID, bool)
	Rand   *rand.Rand   // of the pauses; the Client owns it
	Log    *slog.Logger // nil: slog.Default
}

// Client calls the active controller, wherever it is. Each call goes on until it has an answer, an outcome that is not known and must not be tried
// again, or its context ends.
type Client struct {
	opts ClientOptions

	mu       sync.Mutex // also of opts.Rand
	believed model.BrokerID
	told     model.BrokerID // to the log
	turn     int            // in the candidates
}

// NewClient makes a Client.
func NewClient(o ClientOptions) *Client {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Client{opts: o, believed: model.NoBroker, told: model.NoBroker, turn: o.Rand.IntN(1 << 16)}
}

// Believed is who answered last as the active controller; model.NoBroker: nobody since a call failed.
func (c *Client) Believed() model.BrokerID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.believed
}

// do makes a call and reads its answer.
func (c *Client) do(ctx context.Context, m Method, request, reply proto.Message) (from model.BrokerID, err error) {
	body, err := peerpb.Marshal(nil, request)
	if err != nil {
		return model.NoBroker, fmt.Errorf("%w: %v: %w", ErrInvalid, m, err)
	}
	if most := methods[m].maxBody; len(body) > most {
		return model.NoBroker, fmt.Errorf("%w: %v of %d bytes, the most is %d", ErrInvalid, m, len(body), most)
	}
	from, body, err = c.find(ctx, m, body)
	if err != nil {
		return from, err
	}
	if err := peerpb.UnmarshalAnswer(body, reply); err != nil {
		return from, garbled(m, from, err)
	}
	return from, nil
}

// garbled says that a call was done and its answer cannot be read.
func garbled(m Method, node model.BrokerID, err error) error {
	return &UnknownError{m, fmt.Errorf("the answer of node %d: %w", node, err)}
}

// search is the attempts of one call.
type search struct {
	hint    model.BrokerID // who to ask next; model.NoBroker: whose turn it is
	hops    int
	tried   int // since the last pause
	pause   time.Duration
	last    error // of the attempts
	unknown error // of an attempt that may have taken effect
}

// find makes a call to one broker after the other until one decides about it.
func (c *Client) find(ctx context.Context, m Method, body []byte) (model.BrokerID, []byte, error) {
	s := search{hint: c.guess(), pause: firstPause}
	for ctx.Err() == nil {
		target, ok := c.next(&s)
		if ok {
			reply, err := c.attempt(ctx, target, m, body)
			if c.judge(&s, target, m, err) {
				return target, reply, err
			}
			if s.hint != model.NoBroker && s.hops <= hops || s.tried < len(c.opts.Candidates()) {
				continue
			}
		}
		s.tried, s.hops = 0, 0
		c.sleep(ctx, &s)
	}
	if s.unknown != nil {
		return model.NoBroker, nil, s.unknown
	}
	return model.NoBroker, nil, &UnavailableError{Whom: fmt.Sprintf("the active controller, for %v,", m), Last: s.last, Why: context.Cause(ctx)}
}

// guess is where to begin.
func (c *Client) guess() model.BrokerID {
	if c.opts.Leader != nil {
		if id, ok := c.opts.Leader(); ok {
			return id
		}
	}
	return c.Believed()
}

// next chooses whom to ask.
func (c *Client) next(s *search) (model.BrokerID, bool) {
	if hint := s.hint; hint != model.NoBroker {
		s.hint = model.NoBroker
		return hint, true
	}
	candidates := slices.Sorted(slices.Values(c.opts.Candidates()))
	if len(candidates) == 0 {
		s.last = errors.New("no voter of the metadata quorum is known")
		return model.NoBroker, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	s.tried++
	return candidates[c.turn%len(candidates)], true
}

// attempt asks one broker.
func (c *Client) attempt(ctx context.Context, target model.BrokerID, m Method, body []byte) ([]byte, error) {
	if p := methods[m].patience; p > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p, fmt.Errorf("nothing within %v", p))
		defer cancel()
	}
	if target == c.opts.Self {
		if c.opts.Local == nil {
			return nil, &quorum.NotControllerError{Leader: model.NoBroker}
		}
		return c.opts.Local.Local(ctx, Caller{Node: c.opts.Self, ClusterID: c.opts.ClusterID, Version: link.NewestVersion}, m, body)
	}
	return c.opts.Pool.call(ctx, target, m, body)
}

// judge tells whether an attempt has ended the call, and if not, what to do next.
func (c *Client) judge(s *search, target model.BrokerID, m Method, err error) (over bool) {
	var elsewhere *quorum.NotControllerError
	var unsent *notSent
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknown):
		if !methods[m].repeatable {
			c.believe(target, false)
			return true
		}
		s.unknown = err
	case errors.As(err, &elsewhere):
		if elsewhere.Leader != target {
			s.hint = elsewhere.Leader
			s.hops++
		}
	case errors.As(err, &unsent), errors.Is(err, ErrBusy):
	default: // it has decided
		c.believe(target, true)
		return true
	}
	c.believe(target, err == nil)
	s.last = err
	return err == nil
}

// believe remembers who has decided as the active controller, and who has not.
func (c *Client) believe(target model.BrokerID, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case is && c.believed != target:
		c.believed = target
		if c.told != target {
			c.told = target
			c.opts.Log.Info("the active controller answers", "node", target)
		}
	case is:
	case c.believed == target:
		c.believed = model.NoBroker
	}
}

// sleep waits before the next round.
func (c *Client) sleep(ctx context.Context, s *search) {
	c.mu.Lock()
	pause := s.pause/2 + time.Duration(c.opts.Rand.Int64N(int64(s.pause/2)+1))
	c.mu.Unlock()
	s.pause = min(2*s.pause, mostPause)
	_ = wait.For(ctx, pause) // who calls looks at ctx
}
