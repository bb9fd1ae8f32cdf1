package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/sync/errgroup"

	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/wal"
)

// Set is the partitions of this broker. Changes (Ensure, Remove) come from one goroutine, the one that
// applies metadata in order; everything else may be called from anywhere.
type Set struct {
	env      Env
	disks    disks
	replicas *xsync.Map[model.TopicPartition, *Replica]
	byID     *xsync.Map[partitionID, *Replica]
	leaving  removals
	rebuilds chan struct{} // bounds how many damaged logs are set aside at a time
	clock    *retentionClock

	deadlines   Deadlines
	jobs        jobs
	moves       moves
	ticks       ticks
	tails       tailBudget
	throttles   throttles
	cleaner     cleaner
	grant       atomic.Pointer[grant] // nil: this incarnation is not registered yet
	lostSession atomic.Bool
	withdrawn   atomic.Bool
	followed    atomic.Bool   // see Followed
	numbers     atomic.Uint64 // of subscriptions
}

// partitionID names a partition as brokers do among themselves.
type partitionID struct {
	topic model.TopicID
	num   int32
}

// grant is what the metadata knows of this incarnation of the broker (R1), and of the others.
type grant struct {
	epoch model.BrokerEpoch
	live  func(model.BrokerID) (model.BrokerEpoch, bool)
}

// parallelJobs is how many logs of partitions with other replicas are opened, cut or read at a time.
const parallelJobs = 8

// NewSet prepares the data directories and finds the partitions in them. It opens no log.
func NewSet(env Env) (*Set, error) {
	env.Replication = env.Replication.withDefaults()
	s := &Set{env: env,
		replicas: xsync.NewMap[model.TopicPartition, *Replica](), byID: xsync.NewMap[partitionID, *Replica](),
		leaving: newRemovals(), rebuilds: make(chan struct{}, parallelRebuilds), clock: newRetentionClock(env.Now), jobs: jobs{limit: parallelJobs}}
	s.ticks.every = env.Replication.Tick
	s.tails.limit, s.tails.each = env.Replication.TailBytes, max(env.Replication.TailBytes/16, 1)
	s.moves.prepare()
	s.throttles.prepare()
	if err := s.disks.find(&env); err != nil {
		return nil, err
	}
	return s, nil
}

// Get finds a partition; nil if this broker does not hold it.
func (s *Set) Get(tp model.TopicPartition) *Replica {
	r, _ := s.replicas.Load(tp)
	return r
}

// Find finds a partition by the ID of its topic; nil if this broker does not hold it.
func (s *Set) Find(topic model.TopicID, partition int32) *Replica {
	r, _ := s.byID.Load(partitionID{topic, partition})
	return r
}

// Deadlines ends what waits too long.
func (s *Set) Deadlines() *Deadlines { return &s.deadlines }

func (s *Set) number() replication.Subscription { return replication.Subscription(s.numbers.Add(1)) }

// All yields every partition, in no order.
func (s *Set) All(yield func(*Replica) bool) {
	s.replicas.Range(func(_ model.TopicPartition, r *Replica) bool { return yield(r) })
}

// Len is the number of partitions held.
func (s *Set) Len() int { return s.replicas.Size() }

// Ensure brings the partition to what the metadata says. It does no I/O: the log opens in the background,
// or when it is first asked for.
func (s *Set) Ensure(a Assignment) {
	r := s.Get(a.Partition)
	if r != nil && r.topicID != a.TopicID {
		s.Remove(a.Partition) // deleted and created again between two images
		r = nil
	}
	if r == nil {
		r = &Replica{partition: a.Partition, topicID: a.TopicID, after: s.leaving.before(a.Partition), set: s}
		r.disk.Store(s.disks.place(a.Partition, a.alone(s.env.Node)))
	}
	r.configure(a.Settings.of(a.Partition.Topic))
	r.follow(&a, s)
	if s.disks.several() && r.log.Load() == nil {
		s.jobs.do(func() { _, _ = r.Log() }) // its directory says where it is: it must not wait for the first record
	}
	s.replicas.Store(a.Partition, r)
	s.byID.Store(partitionID{a.TopicID, a.Partition.Partition}, r)
	if d := r.disk.Load(); d != nil && d.failure() != nil && !d.first { // whoever saw it fail may not have seen the partition
		s.leaving.all.Go(func() { r.lose(d.failure()) })
	}
}

// Registered tells that the metadata know this incarnation of the broker: by epoch, in the image from which live answers for
// all brokers. Partitions with other replicas have no role here before, as their epochs were not granted to it (R1). It is
// called again, before the Ensures of a change, when any broker has registered or was fenced or unfenced.
func (s *Set) Registered(epoch model.BrokerEpoch, live func(model.BrokerID) (model.BrokerEpoch, bool)) {
	first := s.grant.Swap(&grant{epoch, live}) == nil
	for r := range s.All {
		switch m := r.member.Load(); {
		case m == nil:
		case first:
			m.assume()
		default:
			m.brokersChanged(live)
		}
	}
}

// SessionChanged tells whether an active controller was heard of within the session. Without one, nothing is acknowledged for the
// replicas (R6).
func (s *Set) SessionChanged(alive bool) {
	if s.lostSession.Swap(!alive) == !alive {
		return
	}
	for r := range s.All {
		if m := r.member.Load(); m != nil {
			m.sessionChanged(alive)
		}
	}
}

// Remove deletes the partition: callers are refused when it returns, which is at once. Its waiters are told and
// its files go in the background, before a partition of the same name opens.
func (s *Set) Remove(tp model.TopicPartition) {
	r, ok := s.replicas.LoadAndDelete(tp)
	if !ok {
		return
	}
	s.byID.Delete(partitionID{r.topicID, tp.Partition})
	r.refuse()
	stay := s.endMove(r)
	d := r.disk.Load()
	s.disks.drop(tp)
	if d == nil || d.failure() != nil { // it is removed at the start at which the directory can be used again
		s.leaving.begin(tp, func() {
			stay()
			r.retire()
			if d != nil {
				<-d.noted // before it comes back elsewhere
			}
		}, func() {})
		return
	}
	var grave string
	var err error
	s.leaving.begin(tp, func() {
		stay()
		r.retire()
		d := r.disk.Load()
		grave, err = d.bury(r.dir(), r.topicID, tp.Partition)
	}, func() {
		if err == nil && grave != "" {
			err = s.env.FS.RemoveAll(grave)
		}
		if err != nil {
			s.env.Log.Error("could not remove a deleted partition; its directory will be removed at the next start",
				"partition", tp.String(), "dir", r.dir(), "error", err)
		}
	})
}

// EnforceRetention deletes what the topics' retention says, in every open log. It does not follow a wall clock that
// leaps forward (E4).
func (s *Set) EnforceRetention(ctx context.Context) {
	if _, ahead := s.clock.look(); ahead > 0 {
		s.env.Log.Error("the wall clock has leapt forward; retention by time goes on by the time from before, so that nothing is deleted too early. "+
			"Set the clock right, or restart the server if it is right now", "ahead", ahead.String())
	}
	for r := range s.All {
		l := r.log.Load()
		if l == nil || ctx.Err() != nil {
			continue
		}
		n, err := l.EnforceRetention(r.HighWatermark())
		if err != nil && !errors.Is(err, wal.ErrFenced) && !errors.Is(err, wal.ErrClosed) {
			s.env.Log.Error("retention failed; it is tried again at the next check", "partition", r.partition.String(), "error", err)
		}
		if m := r.member.Load(); m != nil && n > 0 {
			m.startMoved()
		}
		if n > 0 {
			s.env.Log.Info("retention deleted segments", "partition", r.partition.String(), "segments", n, "start", int64(l.Start()))
		}
	}
}

// Close writes every open log's clean mark, and waits for the removals. No Ensure, Remove or Append may follow.
func (s *Set) Close() error {
	defer s.leaving.all.Wait()
	s.moves.end()
	s.ticks.stop()
	s.throttles.stop()
	s.jobs.stop()
	const parallel = 8
	var g errgroup.Group
	g.SetLimit(parallel)
	var mu sync.Mutex
	var errs []error
	for r := range s.All {
		g.Go(func() error {
			if err := r.close(); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}
