package replica

import (
	"sync"
	"time"
)

// ticks lets time pass for the members that time matters to. There is one timer for all of them, and none while there are none.
type ticks struct {
	every time.Duration

	mu      sync.Mutex
	members []*member
	timer   *time.Timer
	armed   bool
	stopped bool
}

// list has a member be told of time until it says that this does not matter any more.
func (t *ticks) list(m *member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members = append(t.members, m)
	t.arm()
}

func (t *ticks) arm() {
	switch {
	case t.armed || t.stopped || len(t.members) == 0:
		return
	case t.timer == nil:
		t.timer = time.AfterFunc(t.every, t.tick)
	default:
		t.timer.Reset(t.every)
	}
	t.armed = true
}

func (t *ticks) tick() {
	t.mu.Lock()
	members := t.members
	t.members = nil
	t.mu.Unlock()
	now := time.Now()
	keep := members[:0]
	for _, m := range members {
		if m.tick(now) {
			keep = append(keep, m)
		}
	}
	clear(members[len(keep):])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members = append(keep, t.members...)
	t.armed = false
	t.arm()
}

func (t *ticks) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped, t.members = true, nil
	if t.timer != nil {
		t.timer.Stop()
	}
}
