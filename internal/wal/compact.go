package wal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/compact"
	"chronik/internal/wal/producer"
)

// CompactOptions bounds a round of compaction.
type CompactOptions struct {
	// Limit is the last stable offset at the high watermark: nothing at or above is looked at.
	Limit    model.Offset
	KeyBytes int64   // memory for what is known of keys (log.cleaner.dedupe.buffer.size)
	KeyLoad  float64 // how full that may get, 0 to 1 (log.cleaner.io.buffer.load.factor)
	// Pace is asked before so many bytes are read or written, and may take its time; an error ends the round. nil: full speed.
	Pace func(ctx context.Context, bytes int64) error
	// Always has the round take place even if the log is not dirty enough.
	Always bool
}

// Compacted says what a round has done.
type Compacted struct {
	From, To      model.Offset // the keys of these offsets were surveyed: below To there is one record of each key
	Keys          int          // how many they were
	Segments      int          // were replaced
	Into          int          // by so many
	Before, After int64        // bytes of those
	Removed       int64        // records
	Unreadable    int          // batches that were left as they are, because their records cannot be read
}

var (
	// ErrInterrupted: a round of compaction gave way to a truncation, a deletion or the log's end. What it had done holds.
	ErrInterrupted = errors.New("the compaction was interrupted")
	// ErrCompacting: another round is under way.
	ErrCompacting = errors.New("the log is being compacted already")
	// ErrKeyMemory: there is no room for a single key.
	ErrKeyMemory = errors.New("no key fits into the memory of the log cleaner: raise log.cleaner.dedupe.buffer.size or lower log.cleaner.threads")
)

// CompactionWork is what a round of compaction would do, nothing for a log that is not compacted.
func (l *Log) CompactionWork(limit model.Offset) compact.Work {
	nowMs := l.now().UnixMilli()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.core.cfg.Compaction
	if p == nil || l.closed || l.closing || l.fenced {
		return compact.Work{}
	}
	return compact.Look(l.core.sealed(), limit, nowMs, *p)
}

// sealed describes the segments before the active one, up to the first that cannot be read.
func (c *core) sealed() []compact.Segment {
	var all []compact.Segment
	for i, s := range c.segs {
		if i == len(c.segs)-1 || s.broken != nil {
			break
		}
		all = append(all, compact.Segment{
			Base: s.base, End: s.end, Bytes: s.size - headerBytes, FirstTs: s.stats.firstTs, Last: s.stats.maxTs,
			Cleaned: s.whole, CleanedTo: s.surveyed,
		})
	}
	return all
}

// Compact does one round of compaction on sealed segments, if one is due: it leaves of each key the latest record (package
// compact). It reads and writes beside the log, which goes on: appends never wait for it, and readers only look a segment up again that
// was replaced. Each replacement is whole or has not happened, whenever the process or the power ends; docs/design/0005 says how.
//
// An error leaves the log as it is, with what was replaced until then. One that matches ErrCorrupt says that the log must be repaired first,
// vfs.ErrNoSpace that the disk is full; ErrFenced that the disk failed at the very moment of a replacement.
func (l *Log) Compact(ctx context.Context, o CompactOptions) (Compacted, error) {
	c, err := l.beginCleaning(ctx, o)
	if err != nil {
		return Compacted{}, fmt.Errorf("compacting %s: %w", l.tp, err)
	}
	defer l.endCleaning(c)
	if !c.work.Due && !(o.Always && c.work.DirtyBytes > 0) {
		return Compacted{}, nil
	}
	if err := l.syncDecided(); err != nil {
		return Compacted{}, fmt.Errorf("compacting %s: %w", l.tp, err)
	}
	if err := c.run(); err != nil {
		return c.out, fmt.Errorf("compacting %s: %w", l.tp, c.explain(err))
	}
	return c.out, nil
}

// syncDecided makes durable what a log with relaxed flushing has shown already: markers that a round goes by. If one were lost after it, the
// transaction would be undecided again, and what it superseded, or its own records, gone (T2).
func (l *Log) syncDecided() error {
	l.mu.Lock()
	done := l.core.synced >= l.core.visible
	l.mu.Unlock()
	if done {
		return nil
	}
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	if err := l.syncWritten(); err != nil {
		l.fence(err)
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return nil
}

// cleaning is one round on its way.
type cleaning struct {
	log    *Log
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{}
	gen    uint32 // of truncations
	opts   CompactOptions

	cfg     Config
	nowMs   int64
	work    compact.Work
	segs    []*segment // all, as they were at the beginning
	views   []view     // of the sealed ones
	plan    []compact.Segment
	aborted []compact.Aborted
	out     Compacted
}

// beginCleaning takes stock. There is one round at a time, and none once the log is being closed.
func (l *Log) beginCleaning(ctx context.Context, o CompactOptions) (*cleaning, error) {
	c := &cleaning{log: l, over: make(chan struct{}), opts: o, nowMs: l.now().UnixMilli()}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &l.core
	switch {
	case l.closed || l.closing:
		return nil, ErrClosed
	case l.fenced:
		return nil, k.failure
	case l.cleaning != nil:
		return nil, ErrCompacting
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.gen = l.generation.Load()
	c.cfg = k.cfg
	var policy compact.Policy
	if k.cfg.Compaction != nil {
		policy = *k.cfg.Compaction
	}
	c.segs = slices.Clone(k.segs)
	c.plan = k.sealed()
	for _, s := range k.segs[:len(c.plan)] {
		c.views = append(c.views, viewOf(s))
	}
	if k.cfg.Compaction != nil || o.Always {
		c.work = compact.Look(c.plan, o.Limit, c.nowMs, policy)
	}
	if n := c.work.Segments; n > 0 {
		for _, t := range k.txns.CollectAborted(nil, c.plan[0].Base, c.plan[n-1].End) {
			c.aborted = append(c.aborted, compact.Aborted{Producer: t.Producer, First: t.FirstOffset, Marker: t.LastOffset})
		}
	}
	l.cleaning = c
	return c, nil
}

func (l *Log) endCleaning(c *cleaning) {
	c.cancel()
	l.mu.Lock()
	l.cleaning = nil
	l.mu.Unlock()
	close(c.over)
}

// stopCleaning ends a round that is under way, and lets no other begin: the log is about to be closed. The caller has no baton.
func (l *Log) stopCleaning() {
	l.mu.Lock()
	l.closing = true
	c := l.cleaning
	l.mu.Unlock()
	if c != nil {
		c.cancel()
		<-c.over
	}
}

// run does the round: survey what no round has seen, then write what stays, segment by segment from the front.
func (c *cleaning) run() error {
	survey, n, err := c.survey()
	if err != nil {
		return err
	}
	state, err := c.producers(n)
	if err != nil {
		return err
	}
	pass := compact.NewPass(compact.Rules{
		Survey: survey, Aborted: c.aborted, Producers: &state, NowMs: c.nowMs, DeleteRetentionMs: c.cfg.DeleteRetentionMs,
	})
	at := 0
	for _, run := range compact.Groups(c.plan[:n], c.cfg.segmentBytes()) {
		if err := c.rewrite(pass, survey.To(), at, at+run); err != nil {
			return err
		}
		at += run
	}
	return nil
}

// survey collects the keys of what is dirty. It returns how many segments are to be written: those up to where it got.
func (c *cleaning) survey() (*compact.Survey, int, error) {
	most := int64(c.plan[c.work.Segments-1].End - c.work.From) // not more keys than offsets
	var salt compact.Salt
	_, _ = rand.Read(salt[:]) // never fails
	keys := compact.NewKeys(c.opts.KeyBytes, c.opts.KeyLoad, most, salt)
	s := compact.NewSurvey(keys, c.work.From, c.aborted)
	n, full := 0, false
	for i := range c.views[:c.work.Segments] {
		n = i + 1
		if c.views[i].end <= c.work.From {
			continue
		}
		err := c.walk(&c.views[i], func(b batchAt) error {
			if !s.Batch(b.head) {
				full = true
				return errEnough
			}
			return nil
		})
		if err != nil && !full {
			return nil, 0, err
		}
		if full {
			break
		}
	}
	if s.To() <= c.work.From {
		return nil, 0, ErrKeyMemory
	}
	c.out.From, c.out.To, c.out.Keys = c.work.From, s.To(), keys.Len()
	return s, n, nil
}

// producers is their state as of the end of what is written, by which batches are known that it is made of (T1).
func (c *cleaning) producers(n int) (producer.State, error) {
	l, end := c.log, c.views[n-1].end
	// The next segment's header, or its floor, mostly has it.
	if p, at, ok, err := l.knownProducers(c.segs[:n+1], end); err != nil || ok && at == end {
		return p, err
	}
	return l.producersAt(c.segs[:n], end)
}

// interrupted tells why the round must not go on, nil if it may.
func (c *cleaning) interrupted() error {
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	if c.log.generation.Load() != c.gen {
		return fmt.Errorf("%w: %w", ErrInterrupted, ErrTruncated)
	}
	return nil
}

// pace is the moment before a piece of work: the round may have to wait, or to end.
func (c *cleaning) pace(bytes int64) error {
	if err := c.interrupted(); err != nil || c.opts.Pace == nil {
		return err
	}
	if err := c.opts.Pace(c.ctx, bytes); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return c.interrupted()
}

// explain says what an error means for the log, and what to do.
func (c *cleaning) explain(err error) error {
	if stop := c.interrupted(); stop != nil && !errors.Is(err, ErrInterrupted) && !errors.Is(err, ErrFenced) {
		return stop // what was read may have been cut off meanwhile
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrInterrupted, err) // retention was faster
	case errors.Is(err, vfs.ErrNoSpace):
		return fmt.Errorf("%w; the log stays as it is and goes on: free space on the disk, compaction needs as much as its largest segment", err)
	}
	return err
}
