package markers

import (
	"context"
	"log/slog"
	"slices"
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
	// Node is this broker. Its own partitions need no call: Append has the log of one take a marker, and done called when that is durable, or will not be. It
	// must not block; done is called once, perhaps before Append returns.
	Node   model.BrokerID
	Append func(tp model.TopicPartition, e Entry, done func(error))
	// Write has another broker write markers. There is an error, or nil, for each partition of each entry, in order.
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
	here    []outcome                  // of this broker's log, that nobody has been told of
	telling bool                       // a goroutine is at it
}

// outcome is what has become of a marker.
type outcome struct {
	*item
	err error
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
	for _, it := range s.queue(items) {
		s.o.Append(it.partition, it.entry(), func(err error) { s.appended(outcome{it, err}) })
	}
}

// queue queues markers for other brokers, and returns those for this one.
func (s *Sender) queue(items []*item) (here []*item) {
	var later []*item
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	for _, it := range items {
		switch leader, exists := s.o.Leader(it.partition); {
		case !exists || over(it.source):
		case leader == model.NoBroker:
			it.failures++
			later = append(later, it)
		case leader == s.o.Node:
			here = append(here, it)
		default:
			q, busy := s.queues[leader]
			s.queues[leader] = append(q, it)
			if !busy {
				s.running.Go(func() { s.work(leader) })
			}
		}
	}
	s.retryLocked(later)
	return here
}

// entry is the marker alone.
func (it *item) entry() Entry {
	return Entry{Markers: it.of, CoordinatorEpoch: int32(it.source.Epoch()), Partitions: []model.TopicPartition{it.partition}}
}

// appended has the coordinator told of a marker in this broker's log, by a goroutine: it may be the log that calls.
func (s *Sender) appended(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here = append(s.here, o)
	if !s.telling && !s.stopped {
		s.telling = true
		s.running.Go(s.tell)
	}
}

// tell tells coordinators until nothing is left to be told.
func (s *Sender) tell() {
	for {
		s.mu.Lock()
		all := s.here
		s.here = nil
		if len(all) == 0 || s.stopped {
			s.telling = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.conclude(s.o.Node, all)
	}
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
	for _, it := range items {
		if n := len(entries); n > 0 && entries[n-1].Markers == it.of {
			entries[n-1].Partitions = append(entries[n-1].Partitions, it.partition)
		} else {
			entries = append(entries, it.entry())
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, callTime)
	defer cancel()
	errs, err := s.o.Write(ctx, to, entries)
	all := make([]outcome, len(items))
	flat := slices.Concat(errs...)
	for i, it := range items {
		if all[i] = (outcome{it, err}); err == nil {
			all[i].err = flat[i]
		}
	}
	s.conclude(to, all)
}

// conclude tells coordinators of the markers that a broker has written, and has the others written again.
func (s *Sender) conclude(to model.BrokerID, all []outcome) {
	var failed []*item
	for len(all) > 0 {
		of := all[0]
		var written []model.TopicPartition
		for len(all) > 0 && all[0].of == of.of {
			o := all[0]
			if all = all[1:]; o.err == nil {
				written = append(written, o.partition)
				continue
			}
			if o.failures++; o.failures%loud == 0 && s.ctx.Err() == nil {
				s.o.Log.Warn("the end of a transaction cannot be written; it is tried again", "transaction", o.of.TransactionalID, "partition", o.partition.String(),
					"node", int32(to), "attempts", o.failures, "error", o.err)
			}
			failed = append(failed, o.item)
		}
		if len(written) > 0 {
			of.source.Written(of.of, written)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retryLocked(failed)
}
