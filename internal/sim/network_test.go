package sim

import (
	"slices"
	"testing"
	"time"
)

// TestDatagrams: over bad weather messages are lost, come twice and overtake each other; over good weather none of it.
func TestDatagrams(t *testing.T) {
	const sent = 2000
	run := func(wt weather) (arrived []int) {
		w := newWorld(1)
		w.net.calm = wt
		for i := range sent {
			w.at(time.Duration(i)*time.Microsecond*100, func() {
				w.net.send(1, 2, func() { arrived = append(arrived, i) })
			})
		}
		for w.step() {
		}
		return arrived
	}
	if good := run(weather{delay: time.Millisecond}); len(good) != sent || !slices.IsSorted(good) {
		t.Errorf("good weather delivered %d of %d, in order: %v", len(good), sent, slices.IsSorted(good))
	}
	bad := run(weather{delay: time.Millisecond, jitter: time.Millisecond, drop: 0.1, duplicate: 0.1})
	distinct := make(map[int]int)
	for _, i := range bad {
		distinct[i]++
	}
	if lost := sent - len(distinct); lost < sent/20 || lost > sent/5 {
		t.Errorf("%d of %d were lost", lost, sent)
	}
	if twice := len(bad) - len(distinct); twice < sent/20 || twice > sent/5 {
		t.Errorf("%d of %d came twice", twice, sent)
	}
	if slices.IsSorted(bad) {
		t.Error("nothing was overtaken")
	}
	if cut := run(weather{cut: true}); len(cut) != 0 {
		t.Errorf("%d messages passed a cut", len(cut))
	}
}

// TestOneWay: a direction can be cut alone.
func TestOneWay(t *testing.T) {
	w := newWorld(1)
	w.net.set(direction{1, 2}, weather{cut: true})
	var got []nodeID
	w.net.send(1, 2, func() { got = append(got, 2) })
	w.net.send(2, 1, func() { got = append(got, 1) })
	for w.step() {
	}
	if !slices.Equal(got, []nodeID{1}) {
		t.Errorf("delivered to %v", got)
	}
}

// TestConnection: what arrives on a connection is a beginning of what was sent, in order, and a cut ends it at both ends.
func TestConnection(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(seed)
		w.net.calm = weather{delay: time.Millisecond, jitter: 5 * time.Millisecond, drop: 0.05}
		var got []int
		closed := 0
		c := w.net.dial(1, 2, func(_ nodeID, m any) { got = append(got, m.(int)) }, func(nodeID) { closed++ })
		for i := range 500 {
			w.at(time.Duration(i)*time.Millisecond, func() { c.send(1, i) })
		}
		w.at(300*time.Millisecond, func() { w.net.set(direction{1, 2}, weather{cut: true}) })
		for w.step() {
		}
		for i, m := range got {
			if m != i {
				t.Fatalf("seed %d: message %d came as number %d", seed, m, i)
			}
		}
		if closed != 2 || len(got) < 50 || len(got) >= 500 {
			t.Errorf("seed %d: %d ends closed, %d messages came", seed, closed, len(got))
		}
	}
}

// TestReplay: the same seed is the same run.
func TestReplay(t *testing.T) {
	run := func(seed uint64) (uint64, time.Duration) {
		w := newWorld(seed)
		w.net.calm = weather{delay: time.Millisecond, jitter: time.Millisecond, drop: 0.1, duplicate: 0.1}
		var bounce func(from, to nodeID, left int)
		bounce = func(from, to nodeID, left int) {
			w.note(to, "bounce %d", int64(left))
			if left > 0 {
				w.net.send(to, from, func() { bounce(to, from, left-1) })
			}
		}
		for range 20 {
			w.net.send(1, 2, func() { bounce(1, 2, 50) })
		}
		for w.step() {
		}
		return w.trace.hash, w.now
	}
	h1, t1 := run(7)
	if h2, t2 := run(7); h1 != h2 || t1 != t2 {
		t.Errorf("seed 7 ran as %x until %v, then as %x until %v", h1, t1, h2, t2)
	}
	if h3, _ := run(8); h1 == h3 {
		t.Error("another seed ran the same")
	}
}
