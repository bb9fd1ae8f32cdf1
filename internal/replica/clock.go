package replica

import (
	"sync"
	"time"
)

// mostDrift is how far the wall clock may part from the monotonic one between two looks, before it is taken for
// a jump: clocks that are steered gently part by seconds a day.
const mostDrift = time.Minute

// retentionClock is the time that retention goes by. A wall clock that leaps forward makes all records old at
// once; whether it is right now or was before, nobody here can know, and what was deleted does not come back. So
// its leaps are not followed (E4): the time goes on from before, by the monotonic clock, until both agree again or
// the server is restarted. A clock that is set back only keeps records for longer, and is followed.
type retentionClock struct {
	wall   func() time.Time
	uptime func() time.Duration // by the monotonic clock

	mu      sync.Mutex
	trusted time.Time // the time at seen
	seen    time.Duration
}

func newRetentionClock(wall func() time.Time) *retentionClock {
	if wall == nil {
		wall = time.Now
	}
	start := time.Now()
	return &retentionClock{
		wall: wall, uptime: func() time.Duration { return time.Since(start) },
		trusted: wall().Round(0), seen: 0, // without its monotonic part: the wall alone is compared
	}
}

// now is the time for retention.
func (c *retentionClock) now() time.Time {
	t, _ := c.look()
	return t
}

// look is the time for retention, and how far the wall clock is ahead of it because of a leap; 0: it is followed.
func (c *retentionClock) look() (now time.Time, ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, uptime := c.wall().Round(0), c.uptime()
	c.trusted, c.seen = c.trusted.Add(uptime-c.seen), uptime
	switch drift := wall.Sub(c.trusted); {
	case drift > mostDrift:
		return c.trusted, drift
	case drift < -mostDrift: // when it is set right again, that is no leap
		return wall, 0
	}
	c.trusted = wall
	return wall, 0
}
