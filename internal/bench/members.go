package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The protocols of mode members.
const (
	Range       = "range"       // classic, every member gives up everything in a rebalance
	Cooperative = "cooperative" // classic, cooperative-sticky: members keep what stays theirs
	NextGen     = "consumer"    // KIP-848
)

// member is one of a group. run returns when ctx ends, or with what went wrong; leave is called after it has returned.
type member interface {
	run(ctx context.Context) error
	leave(ctx context.Context) error
}

// crew is the members of a group that are there.
type crew struct {
	run   *run
	board *board
	fails chan error
	all   []*enlisted
	count int // enlisted ever
}

// enlisted is a member, its number, and its life.
type enlisted struct {
	member
	number int
	cl     *kgo.Client
	stop   context.CancelFunc
	ended  chan struct{}
}

// stableLimit is how long a group may take.
const stableLimit = 2 * time.Minute

// members is mode members: a group is formed, and then one joins and one leaves, by turns. What is measured is the time from the first request until every member has its part of the new
// assignment and every partition has an owner.
func (r *run) members(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	c := &crew{run: r, board: newBoard(r.topic.Partitions), fails: make(chan error, 1)}
	defer c.disband()
	defer cancel()
	stable := c.board.expect(r.opts.Members)
	for range r.opts.Members {
		if err := c.join(ctx); err != nil {
			return err
		}
	}
	if _, err := c.await(ctx, time.Now(), stable); err != nil {
		return fmt.Errorf("form the group: %w", err)
	}
	joins, leaves, v := NewLatencies(), NewLatencies(), &Verification{OK: true, Depth: VerifyFull}
	span := newSpan(&r.opts)
	for time.Now().Before(span.end) {
		joined, err := c.timed(ctx, r.opts.Members+1, c.join)
		if err != nil {
			return fmt.Errorf("one joins: %w", err)
		}
		left, err := c.timed(ctx, r.opts.Members, c.leave)
		if err != nil {
			return fmt.Errorf("one leaves: %w", err)
		}
		if time.Now().After(span.start) {
			joins.Record(joined)
			leaves.Record(left)
			v.Counted++
		}
	}
	v.Note = fmt.Sprintf("%d times one joined and one left; after each every partition had one owner, and never two", v.Counted)
	v.Growth, v.ReadBack = v.Counted, v.Counted
	for _, p := range c.board.problems {
		v.problem("%s", p)
	}
	in, out := joins.Summary(), leaves.Summary()
	r.result.Join, r.result.Leave, r.result.Verification = &in, &out, v
	return nil
}

// timed changes the group, and returns how long it takes to be stable with so many members.
func (c *crew) timed(ctx context.Context, members int, change func(context.Context) error) (time.Duration, error) {
	stable := c.board.expect(members)
	began := time.Now()
	if err := change(ctx); err != nil {
		return 0, err
	}
	return c.await(ctx, began, stable)
}

func (c *crew) await(ctx context.Context, began time.Time, stable <-chan struct{}) (time.Duration, error) {
	limit := time.NewTimer(stableLimit)
	defer limit.Stop()
	select {
	case <-stable:
		return time.Since(began), nil
	case err := <-c.fails:
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-limit.C:
		return 0, fmt.Errorf("not stable after %s: %s", stableLimit, c.board.missing())
	}
}

// join enlists one more.
func (c *crew) join(ctx context.Context) error {
	cl, err := kgo.NewClient(c.run.opts.baseOptions()...)
	if err != nil {
		return fmt.Errorf("options that the client refuses: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	e := &enlisted{number: c.count, cl: cl, stop: stop, ended: make(chan struct{})}
	e.member = c.run.newMember(e.number, cl, c.board)
	c.count++
	c.all = append(c.all, e)
	go func() {
		defer close(e.ended)
		if err := e.member.run(ctx); err != nil && ctx.Err() == nil {
			select {
			case c.fails <- fmt.Errorf("member %d: %w", e.number, err):
			default:
			}
		}
	}()
	return nil
}

// leave has the last one leave.
func (c *crew) leave(ctx context.Context) error {
	e := c.all[len(c.all)-1]
	c.all = c.all[:len(c.all)-1]
	e.stop()
	<-e.ended
	c.board.gone(e.number)
	err := e.member.leave(ctx)
	e.cl.Close()
	return err
}

// disband ends all that are left, once their context has ended. They leave, so that the group can be forgotten.
func (c *crew) disband() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, e := range c.all {
		e.stop()
		all.Go(func() {
			<-e.ended
			_ = e.member.leave(ctx) // a courtesy
			e.cl.Close()
		})
	}
	all.Wait()
}

// errUnexpected is an answer that no member of an undisturbed group should get.
var errUnexpected = errors.New("unexpected answer")

func (r *run) newMember(number int, cl *kgo.Client, b *board) member {
	seat := membership{number: number, cl: cl, board: b, group: r.topic.Name, topic: r.topic, heartbeat: r.opts.Heartbeat}
	switch r.opts.Protocol {
	case NextGen:
		return &nextGenMember{membership: seat, id: newMemberID()}
	case Cooperative:
		return &classicMember{membership: seat, balancer: kgo.CooperativeStickyBalancer(), generation: -1}
	}
	return &classicMember{membership: seat, balancer: kgo.RangeBalancer(), generation: -1}
}

// membership is what members of both protocols have.
type membership struct {
	number    int
	cl        *kgo.Client
	board     *board
	group     string
	topic     Topic
	heartbeat time.Duration
}

// Both protocols' members are given up after so long without a heartbeat, or in a rebalance.
const (
	memberSession   = 45 * time.Second
	memberRebalance = 60 * time.Second
)
