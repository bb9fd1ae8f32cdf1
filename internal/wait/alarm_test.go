package wait

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bell notes when it rings.
type bell struct {
	since time.Time
	rang  []time.Duration
}

func (b *bell) Ring() { b.rang = append(b.rang, time.Since(b.since)) }

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		a := NewAlarm[*bell](time.Now)
		bells := make([]*bell, 5)
		for i := range bells {
			bells[i] = &bell{since: begin}
		}
		set := func(i int, at time.Duration) { a.Set(bells[i], begin.Add(at)) }
		set(0, 3*time.Second)
		set(1, time.Second) // before what the timer runs for
		set(2, 2*time.Second)
		set(2, 4*time.Second) // instead
		set(3, time.Second)
		a.Forget(bells[3])
		set(4, 10*time.Second)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		set(0, 6*time.Second) // again
		time.Sleep(2 * time.Second)
		synctest.Wait()
		a.Stop()
		set(3, 8*time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		for i, want := range [][]time.Duration{{3 * time.Second, 6 * time.Second}, {time.Second}, {4 * time.Second}, nil, nil} {
			if !slices.Equal(bells[i].rang, want) {
				t.Errorf("bell %d rang at %v, want %v", i, bells[i].rang, want)
			}
		}
	})
}
