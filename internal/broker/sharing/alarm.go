package sharing

import (
	"sync"
	"time"
)

// alarm rings at each of many share partitions once, at the time that is set for it. It has one timer, and no goroutine while that runs.
type alarm struct {
	now func() time.Time

	mu      sync.Mutex
	at      map[*led]time.Time
	timer   *time.Timer
	next    time.Time // when the timer fires; zero: it does not
	stopped bool
}

// set has the alarm ring once, not before at. It replaces what was set before.
func (a *alarm) set(l *led, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	if a.at == nil {
		a.at = make(map[*led]time.Time)
	}
	a.at[l] = at
	if a.next.IsZero() || at.Before(a.next) {
		a.arm(at)
	}
}

// arm starts the timer. The caller holds the mutex.
func (a *alarm) arm(at time.Time) {
	a.next = at
	wait := at.Sub(a.now())
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
		return
	}
	a.timer.Reset(wait)
}

// fire rings at those whose time has come.
func (a *alarm) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	now := a.now()
	var next time.Time
	for l, at := range a.at {
		if !at.After(now) {
			delete(a.at, l)
			l.ring() // does not wait, and is under way when stop returns
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	a.next = time.Time{}
	if !next.IsZero() {
		a.arm(next)
	}
}

// forget takes back what was set.
func (a *alarm) forget(l *led) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.at, l)
}

// stop ends the alarm. Nothing rings afterwards.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	clear(a.at)
	if a.timer != nil {
		a.timer.Stop()
	}
}
