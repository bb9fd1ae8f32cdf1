package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestHeapOrder: events come by time, and of one time in the order in which they were put there, also while more are put there.
func TestHeapOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h heap
		var ran []event
		left := 300
		var put func(from time.Duration)
		put = func(from time.Duration) {
			left--
			at, seq := from+time.Duration(rng.IntN(20)), h.seq+1
			h.push(at, func() { ran = append(ran, event{at: at, seq: seq}) })
		}
		for range 40 {
			put(0)
		}
		for h.len() > 0 {
			e := h.pop()
			e.run()
			for range rng.IntN(3) {
				if left > 0 {
					put(e.at)
				}
			}
		}
		for i := range ran[1:] {
			if !ran[i].before(&ran[i+1]) {
				t.Fatalf("event %v ran before %v", ran[i], ran[i+1])
			}
		}
		if len(ran) != 300-left {
			t.Fatalf("%d events ran of %d", len(ran), 300-left)
		}
	}
}
