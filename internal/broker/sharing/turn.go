package sharing

import (
	"slices"
	"sync"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// mostEvents is after how many events a caller has worked enough for others.
const mostEvents = 256

// led is a share partition that is led here in one epoch.
type led struct {
	s       *Shares
	key     share.Key
	epoch   model.LeaderEpoch
	replica Replica

	mu      sync.Mutex
	inbox   []func(now time.Time)
	busy    bool            // somebody has the turn
	ended   error           // why nothing is let in any more
	waiting []chan struct{} // of members that found nothing

	// What follows belongs to who has the turn.
	p        *sharepartition.Partition // nil: it is being loaded
	sent     bool                      // a write is on its way
	failures int                       // in a row, of what the coordinator is asked
	hold     time.Time                 // the coordinator is not asked before
	armed    time.Time                 // when the alarm will ring; zero: it will not
	unused   bool                      // nobody of the group has a session here
	full     bool                      // a member found that there is nothing to give, whatever is in the log
	stirred  bool                      // something has happened that may help those who wait
}

// ask has something done in turn, by the caller if nobody else is at it. The error tells why it is not: the share partition has ended.
func (l *led) ask(event func(now time.Time)) error {
	mine, err := l.put(event)
	if mine {
		defer l.s.running.Done()
		l.work(true)
	}
	return err
}

// run is ask for who waits until it is done.
func (l *led) run(event func(now time.Time)) error {
	done := make(chan struct{})
	if err := l.ask(func(now time.Time) { event(now); close(done) }); err != nil {
		return err
	}
	<-done
	return nil
}

// tell has something done by another goroutine than the caller's, which may hold locks. It is left out if the share partition has ended.
func (l *led) tell(event func(now time.Time)) {
	if mine, _ := l.put(event); mine {
		go func() {
			defer l.s.running.Done()
			l.work(false)
		}()
	}
}

// put puts an event into the inbox, and tells whether the caller has the turn now. A turn counts as running from here on: Stop, which puts an event into each
// inbox, waits for all that began before.
func (l *led) put(event func(now time.Time)) (mine bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return false, l.ended
	}
	l.inbox = append(l.inbox, event)
	if mine = !l.busy; mine {
		l.s.running.Add(1)
	}
	l.busy = true
	return mine, nil
}

// work is the turn: it ends when the inbox is empty. inline tells that it is a caller's goroutine.
func (l *led) work(inline bool) {
	for done := 0; ; {
		events := l.next()
		if len(events) == 0 {
			return
		}
		for _, event := range events {
			event(l.s.o.Now())
		}
		l.settle(l.s.o.Now())
		if done += len(events); inline && done >= mostEvents {
			l.s.running.Go(func() { l.work(false) })
			return
		}
	}
}

// next takes what is in the inbox; if that is nothing, it gives the turn back.
func (l *led) next() []func(time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.inbox
	l.inbox = nil
	l.busy = len(events) > 0
	return events
}

// settle does what follows from what was done: a write, an alarm, members to be woken, the end.
func (l *led) settle(now time.Time) {
	if l.p == nil {
		if l.unused && l.over() == nil {
			l.end(errUnused)
		}
		return
	}
	if err := l.p.Closed(); err != nil {
		l.end(err)
		return
	}
	l.write(now)
	if l.unused && !l.sent {
		l.end(errUnused)
		return
	}
	l.arm(now)
	if !l.stirred {
		return
	}
	l.stirred = false
	if from, ok := l.p.NextFetch(); ok && (l.full || from < l.p.Next()) {
		l.full = false
		l.wake()
	}
}

// end ends the share partition: who waits is told why.
func (l *led) end(why error) {
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return
	}
	l.ended = why
	l.mu.Unlock()
	if l.s.remove(l); l.p != nil {
		l.p.Close(why)
	}
	l.s.alarm.Forget(l)
	l.wake()
}

// over is why the share partition has ended, nil while it has not.
func (l *led) over() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// arm has the alarm ring when there is something to do by then. If it rings too early, it is armed again.
func (l *led) arm(now time.Time) {
	at, ok := l.p.NextExpiry()
	if l.hold.After(now) && (!ok || l.hold.Before(at)) {
		at, ok = l.hold, true
	}
	if ok && (l.armed.IsZero() || at.Before(l.armed)) {
		l.armed = at
		l.s.alarm.Set(l, at)
	}
}

// Ring implements wait.Ringer: it lets the share partition see what time it is.
func (l *led) Ring() {
	l.tell(func(now time.Time) {
		l.armed = time.Time{}
		switch {
		case l.over() != nil:
		case l.p == nil:
			l.load()
		default:
			l.stirred = l.p.Expire(now) || l.stirred
		}
	})
}

// watch has a channel receive when there may be news for members; who watches looks once more afterwards. unwatch must follow.
func (l *led) watch(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, c)
}

func (l *led) unwatch(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, c); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

// wake wakes all who wait.
func (l *led) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
