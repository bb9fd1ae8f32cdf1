package wait

import (
	"sync"
	"time"
)

// Ringer is what an Alarm rings at. Ring must not wait, nor call the Alarm.
type Ringer interface {
	comparable
	Ring()
}

// Alarm rings at each of many once, at the time that is set for it. It has one timer, and no goroutine while that runs. Its methods may be called from
// any goroutine.
type Alarm[R Ringer] struct {
	now func() time.Time

	mu      sync.Mutex
	at      map[R]time.Time
	timer   *time.Timer
	next    time.Time // when the timer fires; zero: it does not
	stopped bool
}

// NewAlarm returns an Alarm that goes by a monotonic clock.
func NewAlarm[R Ringer](now func() time.Time) *Alarm[R] {
	return &Alarm[R]{now: now, at: make(map[R]time.Time)}
}

// Set has the alarm ring at r, once, not before at. It replaces what was set before.
func (a *Alarm[R]) Set(r R, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	a.at[r] = at
	if a.next.IsZero() || at.Before(a.next) {
		a.arm(at)
	}
}

// arm starts the timer. The caller holds the mutex.
func (a *Alarm[R]) arm(at time.Time) {
	a.next = at
	wait := at.Sub(a.now())
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
		return
	}
	a.timer.Reset(wait)
}

// fire rings at those whose time has come.
func (a *Alarm[R]) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	now := a.now()
	var next time.Time
	for r, at := range a.at {
		if !at.After(now) {
			delete(a.at, r)
			r.Ring()
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	a.next = time.Time{}
	if !next.IsZero() {
		a.arm(next)
	}
}

// Forget takes back what was set for r.
func (a *Alarm[R]) Forget(r R) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.at, r)
}

// Stop ends the alarm. When it returns, all that rings has rung.
func (a *Alarm[R]) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	clear(a.at)
	if a.timer != nil {
		a.timer.Stop()
	}
}
