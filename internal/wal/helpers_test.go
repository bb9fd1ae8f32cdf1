package wal

import (
	"fmt"
	"sync"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
)

// env is a device with one committer, for tests.
type env struct {
	t   testing.TB
	fs  vfs.FS
	com *Committer
	dir string
	id  model.TopicID
	cfg Config
	obs Observer
}

func newEnv(t testing.TB, fsys vfs.FS, dir string) *env {
	e := &env{t: t, fs: fsys, dir: dir, id: model.TopicID{1, 2, 3}, cfg: DefaultConfig()}
	e.com = NewCommitter(CommitterOptions{FS: fsys, OpenFiles: 4})
	t.Cleanup(e.com.Close)
	return e
}

func (e *env) tryOpen() (*Log, Recovery, error) {
	return Open(Options{
		FS: e.fs, Dir: e.dir, Partition: model.TopicPartition{Topic: "t", Partition: 7}, TopicID: e.id,
		Config: e.cfg, Committer: e.com, Observer: e.obs,
	})
}

func (e *env) open() (*Log, Recovery) {
	e.t.Helper()
	l, rec, err := e.tryOpen()
	if err != nil {
		e.t.Fatalf("Open: %v", err)
	}
	latest, _ := l.core.epochs.Latest()
	if err := l.BeginEpoch(max(0, latest.Epoch)); err != nil {
		e.t.Fatal(err)
	}
	return l, rec
}

// waiter is one append's completion.
type waiter struct {
	ch chan error
}

func newWaiter() waiter { return waiter{make(chan error, 2)} }

func (w waiter) Done(err error) { w.ch <- err }

// batch builds a batch of n records that together have about size bytes.
func batch(n, size int, ts int64, p *record.Producer) record.Batch {
	b := record.NewBuilder(record.Options{Producer: p})
	for i := range n {
		v := make([]byte, size/n)
		for j := range v {
			v[j] = byte(i*31 + j + int(ts))
		}
		b.Add(ts+int64(i), []byte(fmt.Sprint("k", i)), v)
	}
	out, err := b.Build()
	if err != nil {
		panic(err)
	}
	return out
}

// must appends a batch and waits for it.
func must(t testing.TB, l *Log, b record.Batch) Appended {
	t.Helper()
	out, err := try(l, b)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return out
}

func try(l *Log, b record.Batch) (Appended, error) { return tryAppend(l, Append{Batch: b}) }

// tryAppend appends in the log's epoch and waits.
func tryAppend(l *Log, a Append) (Appended, error) {
	w := newWaiter()
	a.Epoch, a.Waiter = l.epochForTest(), w
	out, err := l.Append(a)
	if err != nil {
		return out, err
	}
	return out, <-w.ch
}

// mustInTransaction appends a record of a producer's transaction, of which the partition is known to be, and waits for it.
func mustInTransaction(t testing.TB, l *Log, p record.Producer, ts int64, key, value []byte) {
	t.Helper()
	b := record.NewBuilder(record.Options{Producer: &p, Transactional: true})
	b.Add(ts, key, value)
	out, err := b.Build()
	if err == nil {
		_, err = tryAppend(l, Append{Batch: out, Verified: true})
	}
	if err != nil {
		t.Fatalf("append: %v", err)
	}
}

func (l *Log) epochForTest() model.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.epoch
}

// contents reads everything from the log start on, checking that offsets are without gaps.
func contents(t testing.TB, l *Log) []byte {
	t.Helper()
	all, err := tryContents(l, 1<<20)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	return all
}

func tryContents(l *Log, step int) ([]byte, error) {
	var all []byte
	for at := l.Start(); at < l.DurableEnd(); {
		r, err := l.Read(at, l.DurableEnd(), step, true)
		if err != nil {
			return all, err
		}
		from := len(all)
		all, err = r.ReadAll(all)
		next := r.Next()
		r.Release()
		if err != nil {
			return all, err
		}
		expect := at
		for rest := all[from:]; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Next(rest); err != nil {
				return all, err
			}
			if err := b.Check(); err != nil {
				return all, err
			}
			if b.BaseOffset() > expect || b.LastOffset() < expect {
				return all, fmt.Errorf("batch %d-%d where %d belongs", b.BaseOffset(), b.LastOffset(), expect)
			}
			expect = b.LastOffset() + 1
		}
		if next != expect || next <= at {
			return all, fmt.Errorf("region from %d ends at %d, its batches at %d", at, next, expect)
		}
		at = next
	}
	return all, nil
}

// watcher records what an Observer is told.
type watcher struct {
	mu     sync.Mutex
	end    model.Offset
	fenced error
}

func (w *watcher) EndAdvanced(end model.Offset) {
	w.mu.Lock()
	w.end = max(w.end, end)
	w.mu.Unlock()
}

func (w *watcher) Fenced(err error) {
	w.mu.Lock()
	w.fenced = err
	w.mu.Unlock()
}
