package replica

import (
	"sync"
	"time"
)

// MaxWait is the longest that anybody waits for replicas.
const MaxWait = 30 * time.Second

// Deadlines end what waits too long. They are a wheel with one timer, which runs only while somebody waits: to wait costs the
// same whether one or ten thousand do, and mostly the wait is over long before its time. The zero value is ready for use.
type Deadlines struct {
	mu      sync.Mutex
	slots   [wheelSlots]Deadline // heads of rings; a zero head is an empty ring
	waiting int
	done    int64 // slots up to this one have been looked at, counted from start
	start   time.Time
	timer   *time.Timer
	armed   bool
}

const (
	// wheelTick is how late a deadline may be ended.
	wheelTick = 125 * time.Millisecond
	// wheelSlots covers MaxWait and the lateness.
	wheelSlots = 256
)

// Deadline is one wait. It is part of whatever waits.
type Deadline struct {
	// Expired is called when the time is over, with no lock held; it must not block. Set it before Add.
	Expired func()

	prev, next *Deadline // nil: not waiting
}

// Add has d end after so long, at most MaxWait, counted from now. It must not be waiting.
func (w *Deadlines) Add(d *Deadline, now time.Time, wait time.Duration) {
	wait = min(max(wait, 0), MaxWait)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == 0 {
		w.rewind(now)
	}
	slot := max(int64(now.Add(wait).Sub(w.start)/wheelTick)+1, w.done+1)
	slot = min(slot, w.done+wheelSlots-1)
	head := &w.slots[slot%wheelSlots]
	if head.next == nil {
		head.prev, head.next = head, head
	}
	d.prev, d.next = head.prev, head
	head.prev.next = d
	head.prev = d
	w.waiting++
	w.arm()
}

// rewind begins a new count.
func (w *Deadlines) rewind(now time.Time) {
	if w.start.IsZero() {
		w.start = now
	}
	w.done = max(w.done, int64(now.Sub(w.start)/wheelTick))
}

// Remove ends a wait before its time. It is false if that is over: Expired was called, or will be.
func (w *Deadlines) Remove(d *Deadline) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d.next == nil {
		return false
	}
	w.unlink(d)
	return true
}

func (w *Deadlines) unlink(d *Deadline) {
	d.prev.next, d.next.prev = d.next, d.prev
	d.prev, d.next = nil, nil
	w.waiting--
}

func (w *Deadlines) arm() {
	if w.armed || w.waiting == 0 {
		return
	}
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(wheelTick, w.turn)
		return
	}
	w.timer.Reset(wheelTick)
}

// turn ends what is over.
func (w *Deadlines) turn() {
	now := time.Now()
	var over []*Deadline
	w.mu.Lock()
	at := int64(now.Sub(w.start) / wheelTick)
	for looked := 0; w.done < at && w.waiting > 0 && looked < wheelSlots; looked++ {
		w.done++
		head := &w.slots[w.done%wheelSlots]
		for head.next != nil && head.next != head {
			d := head.next
			w.unlink(d)
			over = append(over, d)
		}
	}
	w.done = max(w.done, at)
	w.armed = false
	w.arm()
	w.mu.Unlock()
	for _, d := range over {
		d.Expired()
	}
}
