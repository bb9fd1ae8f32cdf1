package wal

import (
	"context"
	"errors"
	"path"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal/producer"
)

// producersOf are a log's producers but for their last timestamps: a batch that has lost its newest record has an older one.
func producersOf(l *Log) []ProducerInfo {
	all := l.Producers()
	for i := range all {
		all[i].LastTimestamp = 0
	}
	return all
}

// reopen opens what is on a disk.
func (e *env) reopen(t *testing.T, disk vfs.FS) *Log {
	t.Helper()
	com := NewCommitter(CommitterOptions{FS: disk})
	t.Cleanup(com.Close)
	l, rec := (&env{t: t, fs: disk, com: com, dir: e.dir, id: e.id, cfg: e.cfg}).open()
	if rec.Corruption != nil {
		t.Fatal(rec.Corruption)
	}
	return l
}

// TestCompact: rounds leave the latest record of each key and drop segments; the log goes on, and is the same after a crash (L1, L6, T1).
func TestCompact(t *testing.T) {
	for seed := range uint64(8) {
		e, disk, _, _ := onDisks(t)
		k := newKeyed(t, e, seed)
		for round := range 4 {
			k.write(60)
			before, want := k.log.Size(), producersOf(k.log)
			out, err := k.compact()
			if err != nil {
				t.Fatal(err)
			}
			if out.Into == 0 && k.log.LastStable(k.log.End()) < 100 {
				continue // a transaction is open since the beginning
			}
			if out.Into == 0 || round > 0 && out.Into > out.Segments || out.Removed == 0 || k.log.Size() != before-out.Before+out.After {
				t.Fatalf("round %d did %+v; %d bytes became %d", round, out, before, k.log.Size())
			}
			k.check(k.log, k.full, out.To)
			if got := producersOf(k.log); !reflect.DeepEqual(got, want) {
				t.Fatalf("T1: producers are %+v, want %+v", got, want)
			}
			after := e.reopen(t, disk.CrashClone(crashfs.Lose))
			k.check(after, k.full, out.To)
			if got := producersOf(after); !reflect.DeepEqual(got, want) {
				t.Fatalf("T1: producers after a crash are %+v, want %+v", got, want)
			}
			if w := after.CompactionWork(after.LastStable(after.End())); w.From != out.To || w.Due {
				t.Errorf("after a crash the next round begins at %d (%+v), want %d", w.From, w, out.To)
			}
			after.Abandon(nil)
		}
		if _, err := k.compact(); err != nil {
			t.Fatal(err)
		}
		k.log.Abandon(nil)
	}
}

// TestCompactCrash: a crash before any operation of a round leaves old or new segments, never both or neither; the next round finishes.
func TestCompactCrash(t *testing.T) {
	for seed := range uint64(3) {
		e, disk, _, _ := onDisks(t)
		k := newKeyed(t, e, seed)
		k.write(50)
		if _, err := k.compact(); err != nil {
			t.Fatal(err)
		}
		k.write(60)
		want := producersOf(k.log)
		var found []*crashfs.FS
		disk.OnOp(func(op crashfs.Op) {
			if op.Kind.Changes() {
				for mode := range crashfs.Mode(3) {
					found = append(found, disk.CrashClone(mode))
				}
			}
		})
		out, err := k.compact()
		disk.OnOp(nil)
		if err != nil || len(found) < 3*8*out.Into {
			t.Fatalf("%d disks of a round that made %+v: %v", len(found), out, err)
		}
		k.log.Abandon(nil)
		for i, d := range found {
			after := e.reopen(t, d)
			k.check(after, k.full, 0)
			if got := producersOf(after); !reflect.DeepEqual(got, want) {
				t.Fatalf("disk %d: T1: producers are %+v, want %+v", i, got, want)
			}
			again := &keyed{t: t, log: after, rng: k.rng, full: k.full, reach: k.reach}
			out, err := again.compact()
			if err != nil {
				t.Fatalf("disk %d: %v", i, err)
			}
			if out.Into > 0 {
				again.check(after, k.full, out.To)
			}
			checkFiles(t, d, after)
			after.Abandon(nil)
		}
	}
}

// checkFiles: a log's directory holds its segments and no others.
func checkFiles(t *testing.T, fsys vfs.FS, l *Log) {
	t.Helper()
	entries, err := fsys.ReadDir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, s := range l.core.segs {
		want = append(want, segmentName(s.file()))
	}
	for _, e := range entries {
		if _, ok := parseSegmentName(e.Name); ok || !partOfLog(e.Name) {
			got = append(got, e.Name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("the directory has %v, want %v", got, want)
	}
}

// TestCompactFaults: whatever operation of a round fails, the log loses nothing, now and after the next start. Only a failure at the very
// moment of a replacement fences it (D3); a full disk leaves it as it was (E3).
func TestCompactFaults(t *testing.T) {
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for skip := 0; ; skip++ {
			e, disk, faults, _ := onDisks(t)
			k := newKeyed(t, e, 5)
			k.write(50)
			ops := faultfs.OpWrite | faultfs.OpSync | faultfs.OpCreate | faultfs.OpRename | faultfs.OpSyncDir | faultfs.OpRemove
			active := segmentName(k.log.core.active().file()) // no round touches it, but the zeroer may
			others := func(c faultfs.Call) bool { return path.Base(c.Name) != active }
			fault := faults.Inject(faultfs.Rule{Ops: ops, Match: others, Skip: skip, Times: 1, Err: failure})
			k.reach = k.log.End() // an error does not say how far it came
			_, err := k.compact()
			fault.Stop()
			if fault.Hits() == 0 {
				if err != nil || skip < 10 {
					t.Fatalf("%d operations, then %v", skip, err)
				}
				k.log.Abandon(nil)
				break
			}
			fenced := k.log.Failure() != nil
			if err == nil || fenced != errors.Is(err, ErrFenced) {
				t.Fatalf("operation %d failed with %v: %v; fenced: %t", skip, failure, err, fenced)
			}
			k.check(k.log, k.full, 0)
			if !fenced {
				k.write(3)
				if _, err := k.compact(); err != nil {
					t.Fatalf("after a failure: %v", err)
				}
				checkFiles(t, e.fs, k.log)
			}
			k.log.Abandon(nil)
			after := e.reopen(t, disk.CrashClone(crashfs.Lose))
			k.check(after, k.full, 0)
			after.Abandon(nil)
		}
	}
}

// TestCompactEmptySegment: a segment that stayed empty, because the batch that it was begun for did not fit on the disk, does not
// hide the last batch before it, which must stay so that every offset is found (L1).
func TestCompactEmptySegment(t *testing.T) {
	e, disk, faults, _ := onDisks(t)
	k := newKeyed(t, e, 1)
	write := func(b record.Batch) {
		t.Helper()
		must(t, k.log, b)
		k.full = append(k.full, slices.Clone(b))
	}
	ts := int64(1_600_000_000_000)
	write(batch(1, 800, ts, nil))
	write(batch(1, 800, ts+1, nil))
	second := func(c faultfs.Call) bool { return path.Base(c.Name) == segmentName(1) }
	full := faults.Inject(faultfs.Rule{Ops: faultfs.OpWrite, Match: second, Skip: 1, Times: 1, Err: syscall.ENOSPC})
	if _, err := try(k.log, batch(1, 800, ts+2, nil)); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("an append to a full disk: %v", err)
	}
	full.Stop()
	gap := batch(1, 800, ts+3, nil) // from another leader, behind a gap: it begins one more segment
	gap.SetBaseOffset(k.log.End() + 5)
	gap.SetLeaderEpoch(k.log.epochForTest())
	w := newWaiter()
	if _, err := k.log.Append(Append{Batch: gap, Origin: producer.Replication, Waiter: w}); err != nil {
		t.Fatal(err)
	}
	if err := <-w.ch; err != nil {
		t.Fatal(err)
	}
	k.full = append(k.full, slices.Clone(gap))
	write(batch(1, 1500, ts+4, nil))
	if s := k.log.core.segs; len(s) != 4 || s[1].base != s[1].end {
		t.Fatalf("%d segments, the second of offsets %d to %d, want it empty", len(s), s[1].base, s[1].end)
	}
	out, err := k.compact()
	if err != nil || out.Segments != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	k.check(k.log, k.full, out.To)
	after := e.reopen(t, disk.CrashClone(crashfs.Lose))
	k.check(after, k.full, out.To)
	after.Abandon(nil)
	k.log.Abandon(nil)
}

// TestCompactRelaxed: a round on a log with relaxed flushing does not go by a marker that a loss of power can take back (T2): otherwise
// what an undecided transaction would supersede is gone.
func TestCompactRelaxed(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	k := newKeyed(t, e, 1)
	cfg := k.log.core.cfg
	cfg.FlushMessages = 1000
	k.log.Configure(cfg)
	p := record.Producer{ID: 11}
	o := record.NewBuilder(record.Options{Producer: &p, Transactional: true})
	o.Add(1_600_000_000_000, []byte("k0"), []byte("the newest value"))
	inTxn, err := o.Build()
	if err != nil {
		t.Fatal(err)
	}
	end := record.EndTxn(record.Marker{Type: record.Commit, Producer: p.ID, TimestampMs: 1_600_000_000_000})
	for _, b := range []record.Batch{batch(1, 800, 1_600_000_000_000, nil), inTxn, batch(2, 1500, 1_600_000_000_000, nil), end} {
		if _, err := tryAppend(k.log, Append{Batch: b, Verified: true}); err != nil {
			t.Fatal(err)
		}
	}
	if k.log.core.synced >= k.log.core.visible {
		t.Fatal("the marker is synced already")
	}
	out, err := k.compact()
	if err != nil || out.Into != 1 || out.Removed != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	after := e.reopen(t, disk.CrashClone(crashfs.Lose))
	if got := after.LastStable(after.End()); got <= 1 {
		t.Errorf("after a crash the transaction is open again, and what was superseded by it is gone: the last stable offset is %d", got)
	}
	after.Abandon(nil)
	k.log.Abandon(nil)
}

// TestCompactTruncate: a log that is cut inside of what compaction has written goes on behind it in a new segment, also after a crash.
func TestCompactTruncate(t *testing.T) {
	for seed := range uint64(12) {
		e, disk, _, _ := onDisks(t)
		k := newKeyed(t, e, seed)
		k.write(80)
		out, err := k.compact()
		if err != nil {
			t.Fatal(err)
		}
		k.log.flushIndex(false)
		to := model.Offset(k.rng.Int64N(int64(out.To)))
		if err := k.log.Truncate(to); err != nil {
			t.Fatal(err)
		}
		if end := k.log.End(); end > to {
			t.Fatalf("truncated to %d, the log ends at %d", to, end)
		}
		left := k.left(k.log)
		k.lookUp(k.log, left)
		b := batch(2, 100, 1_700_000_000_000, nil)
		must(t, k.log, b)
		if active := k.log.core.active(); active.gen != 0 {
			t.Fatalf("appended to %s, of which the journal does not know", segmentName(active.file()))
		}
		left = append(left, slices.Clone(b))
		for _, l := range []*Log{k.log, e.reopen(t, disk.CrashClone(crashfs.Lose))} {
			if got := k.left(l); !reflect.DeepEqual(got, left) {
				t.Fatalf("%d batches, want %d", len(got), len(left))
			}
			k.lookUp(l, left)
			l.Abandon(nil)
		}
	}
}

// TestCompactStops: closing a log ends the round that is under way, which leaves no file behind.
func TestCompactStops(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	k := newKeyed(t, e, 1)
	k.write(60)
	paced := make(chan struct{})
	result := make(chan error)
	go func() {
		_, err := k.log.Compact(context.Background(), CompactOptions{Limit: k.log.LastStable(k.log.End()), KeyBytes: 1 << 20, KeyLoad: 0.9,
			Pace: func(ctx context.Context, _ int64) error { close(paced); <-ctx.Done(); return ctx.Err() }})
		result <- err
	}()
	<-paced
	if _, err := k.compact(); !errors.Is(err, ErrCompacting) {
		t.Errorf("a second round: %v, want ErrCompacting", err)
	}
	if err := k.log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrInterrupted) {
		t.Errorf("the round: %v, want ErrInterrupted", err)
	}
	if _, err := k.compact(); !errors.Is(err, ErrClosed) {
		t.Errorf("a round on a closed log: %v, want ErrClosed", err)
	}
	after := e.reopen(t, disk)
	k.check(after, k.full, 0)
	checkFiles(t, disk, after)
	after.Abandon(nil)
}

// TestCompactRot: a round does not write again what is damaged, and says where it is (L2).
func TestCompactRot(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	k := newKeyed(t, e, 1)
	k.write(60)
	if err := disk.BitFlip(k.log.path(segmentName(1)), headerBytes+record.HeaderSize+3, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := k.compact(); !errors.Is(err, ErrCorrupt) || k.log.Failure() != nil {
		t.Errorf("a round over rot: %v, the log: %v", err, k.log.Failure())
	}
	k.log.Abandon(nil)
}

// TestCompactBesideTraffic: appends and reads go on while rounds replace segments.
func TestCompactBesideTraffic(t *testing.T) {
	e, _, _, _ := onDisks(t)
	k := newKeyed(t, e, 3)
	k.write(40)
	done := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			select {
			case <-done:
				return
			default:
			}
			for at := k.log.Start(); at < k.log.DurableEnd(); {
				r, err := k.log.Read(at, k.log.DurableEnd(), 700, true)
				if err != nil {
					t.Errorf("Read(%d): %v", at, err)
					return
				}
				empty := r.Len() == 0 // a round has removed all that lay below the end of a moment ago
				at = r.Next()
				r.Release()
				if empty {
					break
				}
			}
			if _, err := k.log.LookupTime(1_600_000_005_000, k.log.DurableEnd()); err != nil {
				t.Errorf("LookupTime: %v", err)
			}
		}
	}()
	var compacted model.Offset
	for range 30 {
		k.write(20)
		out, err := k.compact()
		if err != nil {
			t.Fatal(err)
		}
		compacted = max(compacted, out.To)
	}
	close(done)
	<-read
	k.check(k.log, k.full, compacted)
	k.log.Abandon(nil)
}
