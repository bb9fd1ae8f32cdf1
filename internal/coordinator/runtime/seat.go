package runtime

import (
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// seat is one partition in one leader epoch.
type seat[M shard.Machine] struct {
	c         *Coordinator[M]
	partition model.TopicPartition
	epoch     model.LeaderEpoch
	by        replica.Coordinator // the same epoch
	gone      chan struct{}       // closed when it is over

	wanted atomic.Bool // somebody has asked while it loaded

	mu      sync.Mutex
	image   *image.Image // the newest, while it loads
	serving bool         // it is loaded
	over    bool         // nothing is let in any more
	inbox   []event[M]
	busy    bool // somebody has the turn

	// What follows belongs to who has the turn, from the moment on at which the seat serves.
	log     Partition
	shard   *shard.Shard
	machine M
	events  []event[M] // taken out of the inbox
	at      int        // the next of them
	armed   time.Time  // when the alarm will ring; zero: it will not
	late    bool       // it has rung too late, and will ring again
	ended   bool       // the shard has ended, and it is seen to
}

// event is a request, or something that has happened, or what the log has said of a batch.
type event[M shard.Machine] struct {
	decide   func(m M, now time.Time) shard.Result
	refuse   func(error)
	happened func(now time.Time)
	settled  *awaited[M]
	err      error // of settled
}

// asking is who asks.
type asking uint8

const (
	aClient  asking = iota
	aWaiter         // a client that does nothing before it is answered
	anErrand        // who has done what the machine wanted: nobody says that again
)

// ask has a request decided, by the caller if nobody else is at it. A caller that only waits commits what was decided, when it has given back the turn.
//
// While the broker does not know whether it leads still (R6), what waits in its log may wait for long. Clients are better off elsewhere then, and find the way;
// but errands are heard, since the epoch may go on: what they lead to is refused, if it is, by the log, and the machine sees to it again.
func (s *seat[M]) ask(decide func(m M, now time.Time) shard.Result, refuse func(error), who asking) {
	s.mu.Lock()
	switch {
	case s.over:
		s.mu.Unlock()
		refuse(shard.ErrNotCoordinator)
		return
	case !s.serving:
		s.mu.Unlock()
		s.wanted.Store(true)
		refuse(shard.ErrLoading)
		return
	case who != anErrand && s.log.Leads(s.epoch) != nil:
		s.mu.Unlock()
		refuse(shard.ErrNotCoordinator)
		return
	}
	mine := s.put(event[M]{decide: decide, refuse: refuse})
	s.mu.Unlock()
	switch {
	case !mine:
	case who == aWaiter:
		var l loan[M]
		s.work(true, &l)
		s.commit(&l)
	default:
		s.work(true, nil)
	}
}

// put puts an event into the inbox, and tells whether the caller has the turn now. The caller holds the mutex.
func (s *seat[M]) put(e event[M]) (mine bool) {
	s.inbox = append(s.inbox, e)
	mine = !s.busy
	s.busy = true
	return mine
}

// tell has something that has happened seen to, by another goroutine than the caller's.
func (s *seat[M]) tell(happened func(now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && s.serving {
		s.pass(event[M]{happened: happened})
	}
}

// pass has an event seen to by another goroutine than the caller's, who holds the mutex.
func (s *seat[M]) pass(e event[M]) {
	if s.put(e) {
		s.c.crew.take(s)
	}
}

// follow takes a change of the metadata. While the seat loads, only the newest image matters.
func (s *seat[M]) follow(im *image.Image, d *image.Delta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case !s.serving:
		s.image = im
	default:
		s.pass(event[M]{happened: func(now time.Time) {
			if (d.ClusterConfig || len(d.NodeConfigs) > 0) && s.c.o.Configure != nil {
				s.c.o.Configure(s.machine)
			}
			s.shard.OnImage(now, im, d)
		}})
	}
}

// serve has a shard that is loaded serve.
func (s *seat[M]) serve(log Partition, sh *shard.Shard, m M) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.log, s.shard, s.machine, s.serving = log, sh, m, true
	im := s.image
	s.image = nil
	s.put(event[M]{happened: func(now time.Time) { sh.Serve(now, im) }}) // the first event: the turn is ours
	s.mu.Unlock()
	s.work(false, nil)
}

// serves tells whether the seat is loaded.
func (s *seat[M]) serves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

// end ends the seat after what was put into its inbox before.
func (s *seat[M]) end() {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	if s.serving {
		s.pass(event[M]{happened: func(time.Time) { s.shard.End() }})
	}
	s.over = true
	s.mu.Unlock()
	close(s.gone)
	s.c.alarm.Forget(s)
}
