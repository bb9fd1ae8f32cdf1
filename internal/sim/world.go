package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// world is one run: its time, its randomness and all that happens in it.
type world struct {
	seed   uint64
	rng    *rand.Rand
	now    time.Duration // since the start
	future heap
	ran    int // events
	net    network
	trace  trace
	failed *violation // the first one
	stats  stats
}

// epochStart is the wall clock's time at the start of every run.
var epochStart = time.UnixMilli(1_700_000_000_000).UTC()

// violation is an invariant that does not hold.
type violation struct {
	name string // of the invariant
	text string
}

func (v *violation) Error() string { return v.name + ": " + v.text }

func newWorld(seed uint64) *world {
	w := &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x73696d))}
	w.net = network{w: w, special: make(map[direction]weather)}
	return w
}

func (w *world) at(t time.Duration, run func())    { w.future.push(max(t, w.now), run) }
func (w *world) after(d time.Duration, run func()) { w.at(w.now+d, run) }

// one draws true once in n times.
func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

// chance draws true with a probability.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// between draws a duration.
func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(max(hi-lo, 1))))
}

func (w *world) note(who nodeID, what string, args ...int64) {
	l := line{at: w.now, who: who, what: what}
	copy(l.args[:], args)
	w.trace.add(l)
}

// fail notes that an invariant is broken. The run ends after the event.
func (w *world) fail(name, format string, args ...any) {
	if w.failed == nil {
		w.failed = &violation{name, fmt.Sprintf(format, args...)}
		w.note(0, "VIOLATION of "+name)
	}
}

// step runs the next event; false if there is none, or an invariant is broken.
func (w *world) step() bool {
	if w.failed != nil || w.future.len() == 0 {
		return false
	}
	e := w.future.pop()
	w.now = e.at
	w.ran++
	e.run()
	return w.failed == nil
}

// until runs events until a condition holds, checked after each, or a time has passed. It tells whether it holds.
func (w *world) until(limit time.Duration, holds func() bool) bool {
	for deadline := w.now + limit; !holds(); {
		if w.now > deadline || !w.step() {
			return false
		}
	}
	return true
}
