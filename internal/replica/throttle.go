package replica

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/wait"
)

// Rates bound what this broker moves to replicas that are not in sync, in bytes per second; replication.NoLimit: not at all (KIP-73).
type Rates struct {
	Leader   int64 // leader.replication.throttled.rate: sent to followers
	Follower int64 // follower.replication.throttled.rate: asked of leaders
	Dirs     int64 // replica.alter.log.dirs.io.max.bytes.per.second: copied between data directories
}

// Throttle changes the rates. They begin without a limit.
func (s *Set) Throttle(r Rates) {
	s.throttles.leader.setRate(r.Leader)
	s.throttles.follower.setRate(r.Follower)
	s.throttles.dirs.setRate(r.Dirs)
}

// throttles are the buckets of one broker.
type throttles struct{ leader, follower, dirs throttle }

func (t *throttles) prepare() {
	for _, one := range []*throttle{&t.leader, &t.follower, &t.dirs} {
		one.setRate(replication.NoLimit)
	}
}

func (t *throttles) stop() {
	for _, one := range []*throttle{&t.leader, &t.follower, &t.dirs} {
		one.stop()
	}
}

// mostLeave is how much one partition takes at once while others may wait.
const mostLeave = 1 << 20

// waker is a partition that waits for its turn: a stream.Lane or a stream.Route.
type waker interface{ Wake() }

// throttle is a bucket with those who wait for it. All are called, in their order, when there is something for the first; of them, those
// who come too late are before those who were served the next time.
type throttle struct {
	limited atomic.Bool

	mu      sync.Mutex
	bucket  replication.Throttle
	again   []waker            // called and refused again
	waiting []waker            // behind these
	known   map[waker]struct{} // in either
	called  map[waker]struct{} // and not served since
	timer   *time.Timer
	armed   bool
	stopped bool
}

func (t *throttle) setRate(rate int64) {
	t.mu.Lock()
	t.limited.Store(rate != replication.NoLimit)
	t.bucket.SetRate(rate, time.Now())
	waiting := t.release()
	t.mu.Unlock()
	wakeThem(waiting)
}

// take takes leave for up to so many bytes. Who gets none is woken when it is worth asking again.
func (t *throttle) take(most int, who waker) int {
	if !t.limited.Load() {
		return most
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	leave, wait := t.bucket.Take(min(most, mostLeave), time.Now())
	if leave == 0 {
		t.queue(who, wait)
	} else {
		delete(t.called, who)
	}
	return leave
}

// takeAll takes leave for as much as there is of so many bytes. Who does not get all is woken for the rest.
func (t *throttle) takeAll(most int, who waker) (all int) {
	if !t.limited.Load() {
		return most
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for all < most {
		leave, wait := t.bucket.Take(most-all, time.Now())
		if leave == 0 {
			t.queue(who, wait)
			break
		}
		all += leave
		delete(t.called, who)
	}
	return all
}

// queue has somebody woken after a while, or with those who were refused before. The caller has the mutex.
func (t *throttle) queue(who waker, wait time.Duration) {
	if t.stopped {
		return
	}
	if _, waits := t.known[who]; !waits {
		if t.known == nil {
			t.known = make(map[waker]struct{})
		}
		t.known[who] = struct{}{}
		if _, called := t.called[who]; called {
			t.again = append(t.again, who)
		} else {
			t.waiting = append(t.waiting, who)
		}
	}
	switch {
	case t.armed:
	case t.timer == nil:
		t.timer = time.AfterFunc(wait, t.wake)
	default:
		t.timer.Reset(wait)
	}
	t.armed = true
}

// settle tells how much of a leave was used.
func (t *throttle) settle(leave, used int) {
	if leave == used || !t.limited.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bucket.Settle(leave, used)
}

// wait takes leave for so many bytes and waits for it. Rates that change meanwhile are noticed within a second.
func (t *throttle) wait(ctx context.Context, bytes int) error {
	for bytes > 0 {
		t.mu.Lock()
		leave, again := t.bucket.Take(min(bytes, mostLeave), time.Now())
		t.mu.Unlock()
		bytes -= leave
		if leave > 0 {
			continue
		}
		if err := wait.For(ctx, again); err != nil {
			return err
		}
	}
	return nil
}

func (t *throttle) wake() {
	t.mu.Lock()
	waiting := t.release()
	t.mu.Unlock()
	wakeThem(waiting)
}

// release calls those who wait. The caller has the mutex, and wakes them without it.
func (t *throttle) release() []waker {
	all := append(t.again, t.waiting...)
	t.again, t.waiting, t.armed = nil, nil, false
	clear(t.called)
	t.known, t.called = t.called, t.known
	return all
}

func wakeThem(all []waker) {
	for _, w := range all {
		w.Wake()
	}
}

func (t *throttle) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// Throttled names replicas of a topic: some of them, or all.
type Throttled struct {
	all  bool
	some map[replicaID]struct{}
}

type replicaID struct {
	partition int32
	broker    model.BrokerID
}

// ThrottledOf reads a list of partition:broker, or "*". What is neither was refused when it was configured, and names nobody.
func ThrottledOf(list []string) (t Throttled) {
	t.all = slices.Contains(list, "*")
	for _, e := range list {
		p, b, _ := strings.Cut(e, ":")
		partition, err := strconv.ParseInt(p, 10, 32)
		if err != nil {
			continue
		}
		broker, err := strconv.ParseInt(b, 10, 32)
		if err != nil {
			continue
		}
		if t.some == nil {
			t.some = make(map[replicaID]struct{})
		}
		t.some[replicaID{int32(partition), model.BrokerID(broker)}] = struct{}{}
	}
	return t
}

// Has tells whether the replica of a partition on a broker is named.
func (t *Throttled) Has(partition int32, broker model.BrokerID) bool {
	if t.all {
		return true
	}
	_, ok := t.some[replicaID{partition, broker}]
	return ok
}

// leave is how much of what a follower's credit allows it may be sent now; 0: its lane is woken when there is something. Only followers that are
// not in sync are held back: whoever waits for acknowledgements does not wait for the throttle. The caller has the mutex.
func (m *member) leave(s *subscriber, credit int) int {
	t := &m.set.throttles.leader
	m.forgo(s)
	if !t.limited.Load() || slices.Contains(m.state.ISR, s.id) || !m.r.spec.Load().LeaderThrottled.Has(m.r.partition.Partition, m.set.env.Node) {
		return credit
	}
	s.leave = t.take(credit, s.lane)
	return s.leave
}

// spend counts what was sent with a leave, if there was one.
func (m *member) spend(s *subscriber, bytes int) {
	if s.leave == 0 {
		return
	}
	used := min(bytes, s.leave)
	if used < bytes { // one batch that is larger: the next one pays for it
		m.set.throttles.leader.settle(s.leave, bytes)
		used = s.leave
	}
	s.leave -= used
}

// forgo gives back what a leave has left.
func (m *member) forgo(s *subscriber) {
	if s.leave > 0 {
		m.set.throttles.leader.settle(s.leave, 0)
		s.leave = 0
	}
}

// throttled tells whether this broker takes a partition's records at its rate only.
func (m *member) throttled(s *replication.State) bool {
	return !slices.Contains(s.ISR, m.set.env.Node) && m.r.spec.Load().FollowerThrottled.Has(m.r.partition.Partition, m.set.env.Node)
}

// credit is what the leader may send, for which leave is taken while this replica is held to the rate. What is due beyond that is asked for again:
// with too little the leader sends nothing, and nothing would become due.
func (s *source) credit() (replication.Credit, bool) {
	due := s.follower.Due()
	if due == 0 || !s.throttled(&s.state) {
		return s.follower.Credit()
	}
	return s.follower.Give(s.set.throttles.follower.takeAll(due, s.route))
}
