package sharing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/coordinator/share"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wait"
)

// State is what coordinators know of share partitions, wherever they are. An answer is given once, on any goroutine, perhaps before the call
// returns. Errors are package share's, or say that nobody could be asked for some time.
type State interface {
	Read(k share.Key, leaderEpoch int32, answer func(share.State, error))
	Write(k share.Key, w share.WriteRequest, answer func(error))
}

// Replica is what is needed of a partition. *replica.Replica implements it.
type Replica interface {
	Read(replica.ReadRequest) (replica.ReadResult, error)
	Find(timestamp int64, committed bool, believed model.LeaderEpoch) (replica.Position, error)
	Watch(*replica.Watcher)
	Unwatch(*replica.Watcher)
}

// Config is a group's configuration.
type Config struct {
	sharepartition.Config
	Reset     sharepartition.Reset // share.auto.offset.reset
	Committed bool                 // share.isolation.level is read_committed
}

// Options are what Shares stand on. All but those that say otherwise must be set.
type Options struct {
	Node     model.BrokerID
	State    State
	Config   func(group string) Config // as it is now; cheap
	Sessions func() int                // group.share.max.share.sessions, as it is now
	Memory   int64                     // for records on their way to members, in bytes
	Log      *slog.Logger
	Now      func() time.Time // optional; monotonic
}

// Shares is the share partitions that this broker leads, and the sessions of those who fetch from them. Its methods may be called from any goroutine.
type Shares struct {
	o       Options
	budget  *mem.Budget
	memory  *mem.Pool         // within the budget
	alarm   *wait.Alarm[*led] // one timer for all locks that expire
	running sync.WaitGroup    // goroutines that have a turn
	ctx     context.Context
	stop    context.CancelFunc

	mu       sync.Mutex
	stopped  bool
	groups   map[string]map[sharesession.Partition]*led
	sessions *sharesession.Cache
}

// New returns Shares that serve nobody yet. Stop must follow.
func New(o Options) *Shares {
	if o.Now == nil {
		o.Now = time.Now
	}
	budget := mem.NewBudget(o.Memory)
	s := &Shares{o: o, budget: budget, memory: mem.NewPool(budget), alarm: wait.NewAlarm[*led](o.Now), groups: make(map[string]map[sharesession.Partition]*led),
		sessions: sharesession.NewCache(o.Sessions)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Stats is what there is at the moment.
type Stats struct {
	Sessions   int
	Partitions int   // share partitions: one for each group that reads a partition
	Bytes      int64 // of records on their way to members
}

// Stats counts.
func (s *Shares) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Sessions: s.sessions.Len(), Bytes: s.budget.InUse()}
	for _, parts := range s.groups {
		out.Partitions += len(parts)
	}
	return out
}

// LockDuration is for how long members of a group have what they are given.
func (s *Shares) LockDuration(group string) time.Duration { return s.o.Config(group).LockDuration }

// find returns the share partition of a group, and begins to load it if there is none of that epoch.
func (s *Shares) find(group string, p sharesession.Partition, of Leadership) (*led, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, replica.ErrNotLeader
	}
	l := s.groups[group][p]
	switch {
	case l != nil && l.epoch == of.Epoch:
		return l, nil
	case l != nil && l.epoch > of.Epoch:
		return nil, replica.ErrNotLeader // the metadata that the caller has looked at are old
	case l != nil:
		l.tell(func(time.Time) { l.end(replica.ErrNotLeader) })
	}
	l = &led{s: s, key: share.Key{Group: group, TopicID: p.TopicID, Partition: p.Partition}, epoch: of.Epoch, replica: of.Replica}
	if s.groups[group] == nil {
		s.groups[group] = make(map[sharesession.Partition]*led)
	}
	s.groups[group][p] = l
	l.tell(func(time.Time) { l.load() })
	return l, nil
}

// known returns the share partition of a group, nil if there is none.
func (s *Shares) known(group string, p sharesession.Partition) *led {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[group][p]
}

// remove forgets a share partition.
func (s *Shares) remove(l *led) {
	p := sharesession.Partition{TopicID: l.key.TopicID, Partition: l.key.Partition}
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := s.groups[l.key.Group]
	if parts[p] != l {
		return
	}
	if delete(parts, p); len(parts) == 0 {
		delete(s.groups, l.key.Group)
	}
}

// Disconnect ends the sessions that live by a connection.
func (s *Shares) Disconnect(c sharesession.Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.sessions.Disconnect(c) {
		s.releaseLocked(r)
	}
}

// end ends a member's session.
func (s *Shares) end(k sharesession.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.sessions.Release(k); ok {
		s.releaseLocked(r)
	}
}

// releaseLocked releases what a member has acquired, also of partitions that it fetches no more.
func (s *Shares) releaseLocked(r sharesession.Released) {
	for _, l := range s.groups[r.Key.Group] {
		l.tell(func(time.Time) {
			l.unused = r.LastOf
			l.leave(r.Key.Member)
		})
	}
}
