package replica

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"chronik/internal/replication"
	"chronik/internal/vfs"
	"chronik/internal/wait"
	"chronik/internal/wal"
	"chronik/internal/wal/compact"
)

// Cleaning is how much the compaction of logs may take of the broker.
type Cleaning struct {
	Threads        int     // log.cleaner.threads: logs at a time; 0: none
	KeyBytes       int64   // log.cleaner.dedupe.buffer.size: memory of all together
	KeyLoad        float64 // log.cleaner.io.buffer.load.factor
	BytesPerSecond float64 // log.cleaner.io.max.bytes.per.second: read and written, of all together
	OutgrownOnly   bool    // leave alone what is not beyond its bound (compact.Policy.MostUncleaned)
}

// cleaner remembers what compaction said last of the logs that it failed on, so that it says so once.
type cleaner struct {
	rate throttle

	mu     sync.Mutex
	failed map[*Replica]string
}

// After each piece of work, each of the cleaner's threads rests several times as long as that took. While anybody appends on the same
// disk, a piece is shorter than a commit, and a thread works a ninth of the time: so few commits meet one, and those that have to wait until the
// processor or the disk is free again do not wait for long. Otherwise it works half of the time.
const (
	busyPiece, busyRest   = 50 * time.Microsecond, 8
	quietPiece, quietRest = time.Millisecond, 1
	longestRest           = 100 * time.Millisecond
)

// Clean compacts the logs that are due, each replica for itself, the dirtiest first, until none is or ctx ends. Calls must not overlap.
func (s *Set) Clean(ctx context.Context, c Cleaning) {
	s.cleaner.setRate(c.BytesPerSecond)
	tried := make(map[*Replica]bool)
	for ctx.Err() == nil && c.Threads > 0 {
		due := s.dirty(tried, c.OutgrownOnly)
		if len(due) == 0 {
			return
		}
		var all sync.WaitGroup
		for _, d := range due[:min(len(due), c.Threads)] {
			tried[d.r] = true
			all.Go(func() { s.clean(ctx, d, &c) })
		}
		all.Wait()
	}
}

// dirtyLog is a log that is due.
type dirtyLog struct {
	r    *Replica
	log  *wal.Log
	work compact.Work
}

// dirty lists the logs that are due, or only those beyond their bound, and were not tried yet: what has waited too long or outgrown its
// bound, then the dirtiest.
func (s *Set) dirty(tried map[*Replica]bool, outgrown bool) (due []dirtyLog) {
	for r := range s.All {
		l, policy := r.log.Load(), r.spec.Load().Log.Compaction
		if l == nil || tried[r] || policy == nil || outgrown && policy.MostUncleaned == 0 || r.moving.Load() != nil {
			continue // one that moves to another directory is compacted there
		}
		if w := l.CompactionWork(l.LastStable(r.HighWatermark())); w.Outgrown || w.Due && !outgrown {
			due = append(due, dirtyLog{r, l, w})
		}
	}
	slices.SortFunc(due, func(a, b dirtyLog) int {
		return cmp.Or(cmp.Compare(urgency(&b.work), urgency(&a.work)), cmp.Compare(b.work.Ratio(), a.work.Ratio()), cmp.Compare(a.r.partition.String(), b.r.partition.String()))
	})
	return due
}

func urgency(w *compact.Work) int {
	if w.Overdue || w.Outgrown {
		return 1
	}
	return 0
}

// clean does one round on one log.
func (s *Set) clean(ctx context.Context, d dirtyLog, c *Cleaning) {
	p := pacer{rate: &s.cleaner.rate, busy: d.log.Busy, since: time.Now()}
	out, err := d.log.Compact(ctx, wal.CompactOptions{
		Limit: d.log.LastStable(d.r.HighWatermark()), KeyBytes: c.KeyBytes / int64(c.Threads), KeyLoad: c.KeyLoad, Pace: p.wait,
	})
	log := s.env.Log.With("partition", d.r.partition.String())
	if out.Into > 0 {
		log.Info("compacted", "from", int64(out.From), "to", int64(out.To), "keys", out.Keys, "segments", out.Segments, "into", out.Into,
			"bytes_before", out.Before, "bytes_after", out.After, "records_removed", out.Removed)
	}
	if out.Unreadable > 0 {
		log.Warn("compaction left batches as they are, because their records cannot be read", "batches", out.Unreadable)
	}
	switch {
	case err == nil:
		s.cleaner.forget(d.r)
	case errors.Is(err, wal.ErrInterrupted), errors.Is(err, wal.ErrClosed), errors.Is(err, wal.ErrFenced): // said elsewhere, or nothing to say
	case s.cleaner.news(d.r, err):
		what := "compaction failed; the log goes on without it, and grows; it is tried again"
		if errors.Is(err, wal.ErrCorrupt) {
			d.r.foundDamage(err)
			what = "compaction met damaged records; the log goes on without it, and grows"
		} else if errors.Is(err, vfs.ErrNoSpace) {
			what = "compaction needs free space on the disk; the log goes on without it, and grows; it is tried again"
		}
		log.Error(what, "error", err)
	}
}

func (c *cleaner) setRate(bytesPerSecond float64) {
	rate := int64(replication.NoLimit)
	if bytesPerSecond < math.MaxInt64 {
		rate = max(int64(bytesPerSecond), 1)
	}
	c.rate.setRate(rate)
}

// news notes a failure, and tells whether it is another one than the last time.
func (c *cleaner) news(r *Replica, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[*Replica]string)
	}
	was, text := c.failed[r], err.Error()
	c.failed[r] = text
	return was != text
}

func (c *cleaner) forget(r *Replica) {
	c.mu.Lock()
	delete(c.failed, r)
	c.mu.Unlock()
}

// pacer holds one round to the cleaner's rate, and has it rest.
type pacer struct {
	rate  *throttle
	busy  func() bool
	since time.Time // of this piece of work
}

func (p *pacer) wait(ctx context.Context, bytes int64) error {
	piece, rest := quietPiece, time.Duration(quietRest)
	if p.busy() {
		piece, rest = busyPiece, busyRest
	}
	if worked := time.Since(p.since); worked >= piece {
		if err := wait.For(ctx, min(rest*worked, longestRest)); err != nil {
			return err
		}
		p.since = time.Now()
	}
	for bytes > 0 {
		n := min(bytes, mostLeave)
		if err := p.rate.wait(ctx, int(n)); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}
