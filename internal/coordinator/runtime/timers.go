package runtime

import "time"

const (
	// stoodStill is how much too late an alarm rings that nobody was there to ring: the process was stopped, or its machine was.
	stoodStill = time.Second
	// catchUp is how long what clients have sent meanwhile is listened to, before their time is found to be over.
	catchUp = time.Second
)

// arm has the alarm ring when the shard has something to do by then. If it rings too early, it is armed again.
func (s *seat[M]) arm() {
	if next, ok := s.shard.Next(); ok && !s.late && (s.armed.IsZero() || next.Before(s.armed)) {
		s.set(next)
	}
}

func (s *seat[M]) set(at time.Time) {
	s.armed = at
	s.c.alarm.Set(s, at)
}

// Ring implements wait.Ringer: it lets the shard see what time it is.
func (s *seat[M]) Ring() { s.tell(s.ring) }

// ring is Ring in the turn. After a time in which nobody was listening it is put off: members have sent their heartbeats, which are in the sockets still.
func (s *seat[M]) ring(now time.Time) {
	if !s.late && now.Sub(s.armed) > stoodStill {
		s.late = true
		s.set(now.Add(catchUp))
		return
	}
	s.late, s.armed = false, time.Time{}
	s.shard.Tick(now, s.c.o.WallClockTrusted())
}
