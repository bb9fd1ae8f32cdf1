package runtime

import (
	"sync"
	"time"
)

// ringer is what an alarm rings at. It must not block.
type ringer interface{ ring() }

// alarm rings at each of many once at the time that is set for it. It has one timer, and no goroutine while that runs.
type alarm struct {
	now func() time.Time

	mu      sync.Mutex
	at      map[ringer]time.Time
	timer   *time.Timer
	next    time.Time // when the timer fires; zero: it does not
	stopped bool
}

// set has the alarm ring at r, once, not before at. It replaces what was set before.
func (a *alarm) set(r ringer, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	if a.at == nil {
		a.at = make(map[ringer]time.Time)
	}
	a.at[r] = at
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
	now := a.now()
	var due []ringer
	var next time.Time
	for r, at := range a.at {
		if !at.After(now) {
			due = append(due, r)
			delete(a.at, r)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	a.next = time.Time{}
	if !next.IsZero() && !a.stopped {
		a.arm(next)
	}
	a.mu.Unlock()
	for _, r := range due {
		r.ring()
	}
}

// forget takes back what was set for r.
func (a *alarm) forget(r ringer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.at, r)
}

// stop ends the alarm. One that has fired may still ring.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	clear(a.at)
	if a.timer != nil {
		a.timer.Stop()
	}
}
