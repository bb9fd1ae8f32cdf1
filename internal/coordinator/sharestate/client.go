package sharestate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

var (
	// ErrUnavailable: nobody could be asked who coordinates the share partition, or could say that it was done. It may have been.
	ErrUnavailable = errors.New("the coordinator of the share partition was not reached, or its log was not: ask again")
	// ErrUnknown is what Options.Send returns when what it carried may have been done, or may yet be.
	ErrUnknown = errors.New("the outcome is unknown")
)

// Between two attempts passes a pause that doubles.
const (
	firstPause = 5 * time.Millisecond
	mostPause  = time.Second
	createTime = 10 * time.Second // to have the topic created
)

// How long a request is tried.
const (
	patience = 30 * time.Second // of the leaders of partitions, who have nothing else to do
	hurry    = 15 * time.Second // of those for whom a client waits
	lag      = time.Second      // a coordinator whose metadata do not have the partition yet
)

// loud is how often a request fails before that is worth a line in the log: by then no change of leaders explains it.
const loud = 10

// Options are what a Client stands on. All must be set.
type Options struct {
	Node model.BrokerID // this broker
	// Coordinator is the partition of __share_group_state that a share partition belongs to, and its leader, model.NoBroker if there is none at the
	// moment. exists is false as long as there is no such topic.
	Coordinator func(share.Key) (partition int32, leader model.BrokerID, exists bool)
	// Create has the topic created, and returns when it is there or cannot be.
	Create func(context.Context) error
	// Here is the coordinators of this broker.
	Here Coordinator
	// Send asks another broker. All requests are of one Op and one group; so are the answers, in order. The error wraps ErrUnknown unless nothing was
	// done and nothing will be.
	Send func(ctx context.Context, to model.BrokerID, all []Request) ([]Answer, error)
	Log  *slog.Logger
}

// Client asks coordinators of share partitions.
type Client struct {
	o       Options
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	stopped  bool
	creating bool
	queues   map[queueKey]*queue
}

// item is a request until it is answered.
type item struct {
	Request
	answer   func(Answer)
	until    time.Time
	since    time.Time
	failures int
}

// New returns a Client. Stop must follow.
func New(o Options) *Client {
	c := &Client{o: o, queues: make(map[queueKey]*queue)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Stop ends all attempts. When it returns nothing of the Client runs any more, and everybody who waited has an answer, but for what this broker's own coordinators
// are still to answer.
func (c *Client) Stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

// Read returns what is known of a share partition to its partition's leader, and keeps leaders of earlier epochs from changing it. If another broker answers,
// LeaderEpoch is the one that is given, and Complete is not known.
func (c *Client) Read(k share.Key, leaderEpoch int32, answer func(share.State, error)) {
	r := Request{Read, share.WriteRequest{Key: k, LeaderEpoch: leaderEpoch}}
	c.Ask(r, patience, func(a Answer) { answer(a.State, a.Err) })
}

// Write adds what members have done with a share partition. The key in w is set.
func (c *Client) Write(k share.Key, w share.WriteRequest, answer func(error)) {
	w.Key = k
	c.Ask(Request{Write, w}, patience, func(a Answer) { answer(a.Err) })
}

// Begin gives a share partition a start offset and no batches, in a state epoch that is larger than the last one.
func (c *Client) Begin(r share.InitializeRequest, answer func(error)) {
	c.Ask(Request{Initialize, share.WriteRequest{Key: r.Key, StateEpoch: r.StateEpoch, Start: r.Start}}, hurry, func(a Answer) { answer(a.Err) })
}

// Forget deletes what is known of a share partition.
func (c *Client) Forget(k share.Key, answer func(error)) {
	c.Ask(Request{Delete, share.WriteRequest{Key: k}}, hurry, func(a Answer) { answer(a.Err) })
}

// Summarize returns a share partition's state without batches. One that was not begun has model.NoOffset as its start.
func (c *Client) Summarize(k share.Key, answer func(share.State, error)) {
	c.Ask(Request{Summarize, share.WriteRequest{Key: k, LeaderEpoch: share.AnyEpoch}}, hurry, func(a Answer) { answer(a.State, a.Err) })
}

// Ask has a request decided by whoever coordinates the share partition. It does not wait. It is tried for a time; what cannot be decided then, or after Stop, is
// answered with an error that wraps ErrUnavailable.
func (c *Client) Ask(r Request, within time.Duration, answer func(Answer)) {
	if r.Key.Group == "" { // Kafka's requests of no group are answered with nothing
		answer(Answer{Err: fmt.Errorf("%w: the group ID is empty", share.ErrInvalid)})
		return
	}
	now := time.Now()
	c.route(&item{Request: r, answer: answer, since: now, until: now.Add(within)})
}

// route has an item asked by whoever coordinates it now.
func (c *Client) route(it *item) {
	partition, leader, exists := c.o.Coordinator(it.Key)
	switch {
	case !exists:
		c.create()
		c.again(it, errNoTopic)
	case leader == model.NoBroker:
		c.again(it, errNoLeader)
	case leader == c.o.Node:
		Ask(c.o.Here, it.Request, func(a Answer) { c.take(it, a) })
	default:
		c.queue(queueKey{partition, it.Op, it.Key.Group}, it)
	}
}

var (
	errNoTopic  = errors.New("__share_group_state does not exist yet")
	errNoLeader = errors.New("nobody leads the partition of __share_group_state")
	errStopped  = errors.New("this broker stops")
)

// take passes on what a coordinator says, unless it is asked again.
func (c *Client) take(it *item, a Answer) {
	if final(a.Err) || errors.Is(a.Err, share.ErrUnknownPartition) && time.Since(it.since) >= lag {
		it.answer(a)
		return
	}
	c.again(it, a.Err)
}

// fail answers that nobody could be asked.
func (it *item) fail(why error) {
	it.answer(Answer{Err: fmt.Errorf("%w: %v", ErrUnavailable, why)})
}

// again routes an item after a pause, unless it has been too long.
func (c *Client) again(it *item, why error) {
	it.failures++
	pause := min(firstPause<<min(it.failures-1, 20), mostPause)
	if it.failures%loud == 0 {
		c.o.Log.Warn("what a share group has done cannot be kept or read; it is tried again", "op", it.Op.String(), "share_partition", it.Key.Coordinated(),
			"attempts", it.failures, "error", why)
	}
	if time.Now().Add(pause).After(it.until) {
		it.fail(why)
		return
	}
	if !c.run(func() {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
			c.route(it)
		case <-c.ctx.Done():
			it.fail(errStopped)
		}
	}) {
		it.fail(errStopped)
	}
}

// run runs something that Stop waits for. It does not once Stop was called.
func (c *Client) run(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.running.Go(f)
	return true
}

// create has the topic created, by one at a time.
func (c *Client) create() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.creating {
		return
	}
	c.creating = true
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, createTime)
		defer cancel()
		if err := c.o.Create(ctx); err != nil && c.ctx.Err() == nil {
			c.o.Log.Warn("__share_group_state was not created; it is tried again when it is needed", "error", err)
		}
		c.mu.Lock()
		c.creating = false
		c.mu.Unlock()
	})
}
