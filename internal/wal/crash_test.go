package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
)

// promise is what a log owes at one moment: what a crash at that moment must leave.
type promise struct {
	acked      model.Offset // everything below must be there
	start      model.Offset // durable log start
	startMost  model.Offset // log start that was asked for, at most
	histories  [][]record.Batch
	inProgress string
}

// line is a log with the promises that it has made, for crash tests. Batches are remembered as they are
// on disk.
type line struct {
	t   testing.TB
	log *Log
	// relaxed: the log completes appends before they are synced, so a completion is no promise.
	relaxed bool

	mu sync.Mutex
	promise
}

func (p *line) now() promise {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.promise
	q.histories = nil
	for _, h := range p.histories {
		q.histories = append(q.histories, h[:len(h):len(h)])
	}
	return q
}

func (p *line) current() []record.Batch { return p.histories[len(p.histories)-1] }

// acker acknowledges one append.
type acker struct {
	p    *line
	end  model.Offset
	done chan error
}

func (a *acker) Done(err error) {
	if err == nil && !a.p.relaxed {
		a.p.mu.Lock()
		a.p.acked = max(a.p.acked, a.end)
		a.p.mu.Unlock()
	}
	a.done <- err
}

// append queues a batch and returns its completion.
func (p *line) append(b record.Batch) *acker {
	p.t.Helper()
	a := &acker{p: p, done: make(chan error, 1)}
	p.mu.Lock()
	a.end = p.log.End() + model.Offset(b.LastOffsetDelta()) + 1
	stamped := bytes.Clone(b)
	record.Batch(stamped).SetBaseOffset(p.log.End())
	record.Batch(stamped).SetLeaderEpoch(p.log.epochForTest())
	last := len(p.histories) - 1
	p.histories[last] = append(p.histories[last], stamped)
	p.mu.Unlock()
	if _, err := p.log.Append(Append{Batch: b, Epoch: p.log.epochForTest(), Waiter: a}); err != nil {
		a.done <- err
	}
	return a
}

// burst appends batches in one go and waits for all of them.
func (p *line) burst(batches ...record.Batch) {
	p.t.Helper()
	var acks []*acker
	for _, b := range batches {
		acks = append(acks, p.append(b))
	}
	for _, a := range acks {
		if err := <-a.done; err != nil {
			p.t.Fatalf("append: %v", err)
		}
	}
}

func (p *line) truncate(to model.Offset) {
	p.t.Helper()
	p.mu.Lock()
	p.inProgress = fmt.Sprintf("truncate to %d", to)
	var kept []record.Batch
	end := model.Offset(0)
	for _, b := range p.current() {
		if b.LastOffset() < to {
			kept, end = append(kept, b), b.LastOffset()+1
		}
	}
	p.acked = min(p.acked, end)
	p.histories = append(p.histories, kept)
	p.mu.Unlock()
	if err := p.log.Truncate(to); err != nil {
		p.t.Fatalf("truncate: %v", err)
	}
	p.mu.Lock()
	p.histories = p.histories[len(p.histories)-1:]
	p.inProgress = ""
	p.mu.Unlock()
}

func (p *line) deleteBefore(off model.Offset) {
	p.t.Helper()
	p.mu.Lock()
	p.startMost = off
	p.mu.Unlock()
	if _, err := p.log.DeleteBefore(off); err != nil {
		p.t.Fatalf("delete before %d: %v", off, err)
	}
	p.mu.Lock()
	p.start = off
	p.mu.Unlock()
}

// check opens a disk after a crash and holds it against the promise. Then it appends, crashes again, and
// looks whether that is there: what recovery left must be something to build on.
func (q *promise) check(disk *crashfs.FS, cfg Config) error {
	cfg.FlushMessages = 1 // what is appended here must stay
	for round := range 2 {
		com := NewCommitter(CommitterOptions{FS: disk, Workers: 1})
		e := &env{fs: disk, com: com, dir: "d/t-7", id: model.TopicID{1, 2, 3}, cfg: cfg}
		l, rec, err := e.tryOpen()
		if err != nil {
			com.Close()
			return fmt.Errorf("round %d: open: %w", round, err)
		}
		err = q.holds(l, rec)
		if err == nil {
			err = q.extend(l)
		}
		l.Abandon(nil)
		com.Close()
		if err != nil {
			return fmt.Errorf("round %d: %w (recovery %+v)", round, err, rec)
		}
		disk = disk.Crash(crashfs.Lose)
	}
	return nil
}

func (q *promise) holds(l *Log, rec Recovery) error {
	if rec.Corruption != nil {
		return fmt.Errorf("corruption reported: %w", rec.Corruption)
	}
	if l.Start() < q.start || l.Start() > max(q.startMost, q.start) {
		return fmt.Errorf("start %d, promised %d to %d", l.Start(), q.start, q.startMost)
	}
	if err := agrees(l); err != nil {
		return err
	}
	if l.End() < q.acked {
		return fmt.Errorf("end %d, acknowledged %d", l.End(), q.acked)
	}
	got, err := tryContents(l, 1<<20)
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range q.histories {
		err := prefixOf(got, h, l.Start(), l.End())
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// agrees compares what was recovered beside the log with what the log itself says (L6). Where records were
// deleted, more may be remembered than can be read.
func agrees(l *Log) error {
	if l.Start() > 0 {
		return nil
	}
	data, err := tryContents(l, 1<<20)
	if err != nil {
		return err
	}
	if got, want := derivedOf(l), derivedOf(replayed(data, l.DurableEnd())); !got.equal(want) {
		return fmt.Errorf("derived state is %+v, the log says %+v", got, want)
	}
	return nil
}

// prefixOf tells whether got is what a history holds from start on, up to end.
func prefixOf(got []byte, h []record.Batch, start, end model.Offset) error {
	var want []byte
	at := model.Offset(0)
	for _, b := range h {
		if b.LastOffset() >= start && b.LastOffset() < end {
			want = append(want, b...)
		}
		if b.BaseOffset() < end {
			at = b.LastOffset() + 1
		}
	}
	if at != end && end != start {
		return fmt.Errorf("end %d is no batch boundary", end)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes from %d to %d are not the %d that were appended", len(got), start, end, len(want))
	}
	return nil
}

// extend appends one batch and takes it into the promise.
func (q *promise) extend(l *Log) error {
	latest, _ := l.core.epochs.Latest()
	if err := l.BeginEpoch(latest.Epoch + 1); err != nil {
		return err
	}
	b := batch(2, 60, 77, nil)
	if _, err := try(l, b); err != nil {
		return err
	}
	q.acked, q.start, q.startMost = l.End(), l.Start(), l.Start()
	var h []record.Batch
	for _, old := range q.histories[0] {
		if old.LastOffset() < b.BaseOffset() {
			h = append(h, old)
		}
	}
	for _, other := range q.histories[1:] { // whichever it was that the disk held
		if len(other) > 0 && other[len(other)-1].LastOffset() < b.BaseOffset() && len(other) > len(h) {
			h = other
		}
	}
	q.histories = [][]record.Batch{append(h[:len(h):len(h)], b)}
	return nil
}

// crashEverywhere runs a scenario and cuts the power before every call that changes the disk, in several
// ways.
func crashEverywhere(t *testing.T, seed uint64, cfg Config, scenario func(p *line, reopen func())) {
	disk := crashfs.New(seed)
	if err := disk.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, disk, "d/t-7")
	e.cfg = cfg
	p := &line{t: t, relaxed: cfg.relaxed(), promise: promise{histories: [][]record.Batch{nil}}}
	points := 0
	var one sync.Mutex // calls come from the committer's goroutines too
	disk.OnOp(func(op crashfs.Op) {
		if !op.Kind.Changes() || t.Failed() {
			return
		}
		one.Lock()
		defer one.Unlock()
		points++
		q := p.now()
		for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random, crashfs.Random} {
			clone := disk.CrashClone(m)
			mine := q
			if err := mine.check(clone, cfg); err != nil {
				t.Errorf("seed %d, crash %d (mode %d) before %v, %s: %v", seed, points, m, op, q.inProgress, err)
				return
			}
		}
	})
	p.log, _ = e.open()
	scenario(p, func() { p.log, _ = e.open() })
	p.log.Abandon(nil)
	disk.OnOp(nil)
	e.com.Close()
	t.Logf("seed %d: %d crash points", seed, points)
}

func TestL1RecoveryAtEveryStep(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes = 3000
	for seed := range uint64(3) {
		crashEverywhere(t, seed, cfg, func(p *line, reopen func()) {
			for i := range 6 {
				p.burst(batch(1, 100, int64(i), nil), batch(3, 700, int64(i), nil), batch(2, 300, int64(i), nil))
			}
			p.deleteBefore(13)
			p.burst(batch(1, 1200, 50, nil))
			p.truncate(p.log.End() - 2)
			p.burst(batch(5, 1500, 60, nil), batch(1, 40, 61, nil))
			if err := p.log.Close(); err != nil {
				t.Fatal(err)
			}
			reopen()
			p.burst(batch(2, 90, 70, nil))
			p.truncate(20) // back over several segments
			p.burst(batch(2, 900, 80, nil))
			p.burst(batch(2, 2500, 81, nil))
		})
	}
}

// TestL1RecoveryBetweenTicks is the same with all that goes on beside the commits: marks, snapshot files,
// index, space made ahead.
func TestL1RecoveryBetweenTicks(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.ProducerExpiryMs = 20_000, 256, 0
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			crashEverywhere(t, seed, cfg, func(p *line, reopen func()) {
				next := map[model.ProducerID]int32{}
				one := func(id model.ProducerID, size int) {
					p.burst(batch(1, size, int64(id), &record.Producer{ID: id, Epoch: 0, Sequence: next[id]}))
					next[id]++
				}
				for i := range 40 {
					one(model.ProducerID(i%33), 200)
					if i%13 == 12 {
						time.Sleep(1500 * time.Millisecond)
					}
				}
				time.Sleep(5 * time.Second)
				for i := range 6 {
					one(model.ProducerID(i), 3000)
				}
				p.truncate(30)
				time.Sleep(2 * time.Second)
				for i := range 10 {
					one(model.ProducerID(50+i), 300)
				}
				if err := p.log.Close(); err != nil {
					t.Fatal(err)
				}
				reopen()
				one(77, 100)
				time.Sleep(3 * time.Second)
				p.deleteBefore(33)
				one(78, 100)
			})
		})
	}
}

// TestL1RecoveryRelaxed is the same where appends complete before they are synced: what a crash takes is a
// suffix, and nothing beside the log remembers it.
func TestL1RecoveryRelaxed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.ProducerExpiryMs, cfg.FlushMessages = 20_000, 256, 0, 23
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			crashEverywhere(t, seed, cfg, func(p *line, reopen func()) {
				next := map[model.ProducerID]int32{}
				for i := range 90 {
					id := model.ProducerID(i % 40)
					p.burst(batch(1, 300, int64(i), &record.Producer{ID: id, Epoch: 0, Sequence: next[id]}))
					next[id]++
					if i%17 == 16 {
						time.Sleep(700 * time.Millisecond)
					}
				}
				p.truncate(50)
				p.burst(batch(3, 100, 1, nil))
				if err := p.log.Close(); err != nil {
					t.Fatal(err)
				}
				reopen()
				p.burst(batch(3, 100, 2, nil))
			})
		})
	}
}
