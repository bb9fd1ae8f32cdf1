package replica

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlines: what is not removed ends at its time and not much later, once; what is removed never ends; nothing runs for nobody.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Deadlines
		rng := rand.New(rand.NewPCG(1, 2))
		type wait struct {
			Deadline
			due     time.Time
			expired atomic.Int32
			removed bool
		}
		var all []*wait
		for range 2000 {
			d := &wait{due: time.Now().Add(time.Duration(rng.Int64N(int64(MaxWait) + 1)))}
			d.Expired = func() {
				d.expired.Add(1)
				if late := time.Since(d.due); late < 0 || late > 2*wheelTick {
					t.Errorf("a deadline was ended %v after its time", late)
				}
			}
			w.Add(&d.Deadline, time.Now(), time.Until(d.due))
			all = append(all, d)
			if o := all[rng.IntN(len(all))]; rng.IntN(2) == 0 && !o.removed {
				o.removed = w.Remove(&o.Deadline)
				if o.removed == (o.expired.Load() > 0) {
					t.Errorf("removed: %v, ended %d times", o.removed, o.expired.Load())
				}
			}
			time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
		}
		time.Sleep(MaxWait + time.Second)
		synctest.Wait()
		for _, d := range all {
			if want := map[bool]int32{true: 0, false: 1}[d.removed]; d.expired.Load() != want {
				t.Fatalf("ended %d times, want %d", d.expired.Load(), want)
			}
		}
		if w.armed || w.waiting != 0 {
			t.Errorf("%d wait, the timer runs: %v", w.waiting, w.armed)
		}
		late := &Deadline{Expired: func() {}}
		w.Add(late, time.Now(), time.Hour) // at most MaxWait
		time.Sleep(MaxWait + time.Second)
		if w.Remove(late) {
			t.Error("a deadline of an hour was not ended after the longest wait")
		}
	})
}
