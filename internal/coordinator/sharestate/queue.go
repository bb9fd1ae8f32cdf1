package sharestate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chronik/internal/model"
)

const (
	callTime   = 10 * time.Second // a call without an answer by then is one whose outcome is unknown
	calls      = 2                // under way at a time for one queue: meanwhile the next one gathers
	mostAtOnce = 1000             // requests of one call
)

// queueKey is what goes with one call: Kafka's requests are of one group, and what one partition of the topic takes its time for must not hold up others.
type queueKey struct {
	partition int32
	op        Op
	group     string
}

type queue struct {
	waiting []*item
	calls   int
}

// queue adds an item to a queue. What waits in it is answered also if Stop comes in between.
func (c *Client) queue(k queueKey, it *item) {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		it.fail(errStopped)
		return
	}
	defer c.mu.Unlock()
	q := c.queues[k]
	if q == nil {
		q = new(queue)
		c.queues[k] = q
	}
	q.waiting = append(q.waiting, it)
	if q.calls < calls {
		q.calls++
		c.running.Go(func() { c.work(k, q) })
	}
}

// work makes calls until nothing waits.
func (c *Client) work(k queueKey, q *queue) {
	for {
		c.mu.Lock()
		n := min(len(q.waiting), mostAtOnce)
		some := slices.Clone(q.waiting[:n])
		q.waiting = slices.Delete(q.waiting, 0, n)
		if n == 0 {
			if q.calls--; q.calls == 0 {
				delete(c.queues, k)
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.call(some)
	}
}

// call makes one call. The leader may be another one by now.
func (c *Client) call(some []*item) {
	_, leader, exists := c.o.Coordinator(some[0].Key)
	if !exists || leader == model.NoBroker || leader == c.o.Node {
		for _, it := range some {
			c.again(it, errNoLeader)
		}
		return
	}
	all := make([]Request, len(some))
	for i, it := range some {
		all[i] = it.Request
	}
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	answers, err := c.o.Send(ctx, leader, all)
	if err == nil && len(answers) != len(some) {
		err = fmt.Errorf("%w: node %d has answered something else than it was asked", ErrUnknown, leader)
	}
	for i, it := range some {
		switch {
		case err == nil:
			c.take(it, answers[i])
		case errors.Is(err, ErrUnknown) && !it.Op.repeatable():
			it.fail(err)
		default:
			c.again(it, err)
		}
	}
}
