package markers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// Between two attempts passes a pause that doubles. An attempt that has no answer after callTime is one that has failed.
const (
	firstPause = 5 * time.Millisecond
	mostPause  = time.Second
	callTime   = 10 * time.Second
)

// loud is how often a marker is refused before that is worth a line in the log: by then no change of leaders explains it.
const loud = 10

// mostAtOnce is how many markers go with one call.
const mostAtOnce = 5000

// Source is the coordinator that wants markers written.
type Source interface {
	Epoch() model.LeaderEpoch // in which it decides
	Over() <-chan struct{}    // closed when it decides nothing any more
	// Written tells it which partitions have their markers. It must not block.
	Written(of *txn.Markers, partitions []model.TopicPartition)
}

// Entry is one transaction's markers for partitions of one broker.
type Entry struct {
	*txn.Markers
	CoordinatorEpoch int32
	Partitions       []model.TopicPartition // these, and not all of the transaction
}

// Options are what a Sender stands on. All must be set.
type Options struct {
	// Leader is who leads a partition; model.NoBroker: nobody at the moment. exists is false if there is no such partition.
	Leader func(model.TopicPartition) (leader model.BrokerID, exists bool)
	// Write has a broker write markers, this one included. There is an error, or nil, for each partition of each entry, in order.
	Write func(ctx context.Context, to model.BrokerID, entries []Entry) ([][]error, error)
	Log   *slog.Logger
}

// Sender sends markers.
type Sender struct {
	o       Options
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	queues  map[model.BrokerID][]*item // of brokers to which a call is under way
}

// item is one marker.
type item struct {
	source    Source
	of        *txn.Markers
	partition model.TopicPartition
	failures  int
}

// New returns a Sender. Stop must follow.
func New(o Options) *Sender {
	s := &Sender{o: o, queues: make(map[model.BrokerID][]*item)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Stop ends all attempts, and returns when nothing of the Sender runs any more.
func (s *Sender) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
}

// Send has the markers of a transaction written. It does not wait.
func (s *Sender) Send(from Source, of *txn.Markers) {
	items := make([]*item, len(of.Partitions))
	for i, tp := range of.Partitions {
		items[i] = &item{source: from, of: of, partition: tp}
	}
	s.route(items)
}

// route gives markers to the brokers that lead their partitions. A partition that is gone needs none, as its coordinator knows.
func (s *Sender) route(items []*item) {
	var later []*item
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	for _, it := range items {
		switch leader, exists := s.o.Leader(it.partition); {
		case !exists || over(it.source):
		case leader == model.NoBroker:
			it.failures++
			later = append(later, it)
		default:
			q, busy := s.queues[leader]
			s.queues[leader] = append(q, it)
			if !busy {
				s.running.Go(func() { s.work(leader) })
			}
		}
	}
	s.retryLocked(later)
}

func over(c Source) bool {
	select {
	case <-c.Over():
		return true
	default:
		return false
	}
}

// retryLocked routes markers again after a while, those that have failed more often later.
func (s *Sender) retryLocked(items []*item) {
	byPause := make(map[time.Duration][]*item)
	for _, it := range items {
		pause := min(firstPause<<min(it.failures-1, 20), mostPause)
		byPause[pause] = append(byPause[pause], it)
	}
	for pause, of := range byPause {
		if s.stopped {
			return
		}
		s.running.Go(func() {
			timer := time.NewTimer(pause)
			defer timer.Stop()
			select {
			case <-timer.C:
				s.route(of)
			case <-s.ctx.Done():
			}
		})
	}
}

// work makes calls to a broker until nothing waits for it.
func (s *Sender) work(to model.BrokerID) {
	for {
		items := s.take(to)
		if len(items) == 0 {
			return
		}
		s.call(to, items)
	}
}

func (s *Sender) take(to model.BrokerID) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[to]
	if len(q) == 0 || s.stopped {
		delete(s.queues, to)
		return nil
	}
	n := min(len(q), mostAtOnce)
	s.queues[to] = q[n:]
	return q[:n:n]
}

// call makes one call with markers. Those of one transaction follow each other, as they were queued.
func (s *Sender) call(to model.BrokerID, items []*item) {
	var entries []Entry
	var of [][]*item
	for _, it := range items {
		if n := len(entries); n == 0 || entries[n-1].Markers != it.of {
			entries, of = append(entries, Entry{Markers: it.of, CoordinatorEpoch: int32(it.source.Epoch())}), append(of, nil)
		}
		last := len(entries) - 1
		entries[last].Partitions = append(entries[last].Partitions, it.partition)
		of[last] = append(of[last], it)
	}
	ctx, cancel := context.WithTimeout(s.ctx, callTime)
	defer cancel()
	outcome, err := s.o.Write(ctx, to, entries)
	var failed []*item
	for i, e := range entries {
		var written []model.TopicPartition
		for j, it := range of[i] {
			why := err
			if why == nil {
				why = outcome[i][j]
			}
			if why == nil {
				written = append(written, it.partition)
				continue
			}
			if it.failures++; it.failures%loud == 0 && s.ctx.Err() == nil {
				s.o.Log.Warn("the end of a transaction cannot be written; it is tried again", "transaction", e.TransactionalID, "partition", it.partition.String(),
					"node", int32(to), "attempts", it.failures, "error", why)
			}
			failed = append(failed, it)
		}
		if len(written) > 0 {
			of[i][0].source.Written(e.Markers, written)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retryLocked(failed)
}
