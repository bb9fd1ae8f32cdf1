package bench

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pacer says when the records of an open loop are due: at fixed times from its start, whatever became
// of the records before. It holds an OS thread: the runtime's own timers round up to a
// millisecond when the process is idle, which is more than some of the latencies to be measured.
type pacer struct {
	start    time.Time
	interval float64 // nanoseconds
	n        int64
}

// maxNap bounds how long the pacer is deaf to a halt.
const maxNap = 50 * time.Millisecond

// newPacer locks the calling goroutine to its thread until close.
func newPacer(rate float64) *pacer {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // 1 us instead of 50; without it, a little less exact
	return &pacer{start: time.Now(), interval: float64(time.Second) / rate}
}

// wait returns the next due time once it has come, at once if it is past, and early when halted.
func (p *pacer) wait(halted *atomic.Bool) time.Time {
	due := p.start.Add(time.Duration(float64(p.n) * p.interval))
	p.n++
	for !halted.Load() {
		d := time.Until(due)
		if d <= 0 {
			break
		}
		nap := unix.NsecToTimespec(int64(min(d, maxNap)))
		_ = unix.Nanosleep(&nap, nil) // interrupted by a signal: the loop looks at the clock again
	}
	return due
}

func (p *pacer) close() { runtime.UnlockOSThread() }
