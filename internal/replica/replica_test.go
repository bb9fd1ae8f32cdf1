package replica

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// TestLeadership: who does not lead appends and reads nothing; callers with other epochs are told so (KIP-320).
func TestLeadership(t *testing.T) {
	g := open(t, crashfs.New(1))
	a := assign(t0, 1, 5)
	a.State = alone(model.NoBroker, 5)
	g.Ensure(a)
	r := g.Get(t0)
	read := func(epoch model.LeaderEpoch) error {
		res, err := r.Read(ReadRequest{LeaderEpoch: epoch, LastEpoch: model.NoEpoch, MaxBytes: 1 << 20})
		if res.Records != nil {
			res.Records.Release()
		}
		return err
	}
	if err := read(model.NoEpoch); !errors.Is(err, ErrNotLeader) {
		t.Errorf("reading where nobody leads: %v", err)
	}
	g.Ensure(assign(t0, 1, 5))
	put(t, r)
	for epoch, want := range map[model.LeaderEpoch]error{model.NoEpoch: nil, 5: nil, 4: ErrFencedEpoch, 6: ErrUnknownEpoch} {
		if err := read(epoch); !errors.Is(err, want) {
			t.Errorf("reading with epoch %d: %v, want %v", epoch, err, want)
		}
	}
	g.Ensure(assign(t0, 1, 7))
	put(t, r)
	if err := read(5); !errors.Is(err, ErrFencedEpoch) {
		t.Errorf("reading with the epoch before: %v", err)
	}
	if e, end, err := r.EpochEnd(6, model.NoEpoch); err != nil || e != 5 || end != 1 {
		t.Errorf("epoch 6 ends at %d of epoch %d (%v), want 1 of 5", end, e, err)
	}
	g.Ensure(a)
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("appending after the leadership went: %v", err)
	}
}

// TestR5WatermarkNeverGoesBack: reports that overtake each other leave the largest.
func TestR5WatermarkNeverGoesBack(t *testing.T) {
	r := &Replica{}
	ends := rand.New(rand.NewPCG(1, 2)).Perm(1000)
	var g sync.WaitGroup
	for part := range 4 {
		g.Go(func() {
			last := model.Offset(0)
			for i := part; i < len(ends); i += 4 {
				r.EndAdvanced(model.Offset(ends[i]))
				if hw := r.HighWatermark(); hw < last {
					t.Errorf("the watermark went back from %d to %d", last, hw)
				} else {
					last = hw
				}
			}
		})
	}
	g.Wait()
	if hw := r.HighWatermark(); hw != 999 {
		t.Errorf("the watermark is %d, want 999", hw)
	}
}

// TestWatchers: a watcher hears of appends, and of the end; afterwards of nothing.
func TestWatchers(t *testing.T) {
	g := open(t, crashfs.New(1))
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	w, gone := NewWatcher(), NewWatcher()
	r.Watch(w)
	r.Watch(gone)
	r.Watch(gone)
	r.Unwatch(gone)
	r.Unwatch(gone)
	r.Unwatch(gone) // once too often does nothing
	put(t, r)
	woken(t, w)
	if r.HighWatermark() != 1 {
		t.Errorf("woken at watermark %d, want 1", r.HighWatermark())
	}
	g.Remove(t0)
	woken(t, w)
	select {
	case <-gone.C():
		t.Error("a watcher that left was woken")
	default:
	}
	r.Unwatch(w)
	if r.parked.list != nil || r.parked.n.Load() != 0 {
		t.Error("the partition keeps memory for watchers that left")
	}
}

// TestD3FencedPartition: a failed sync fails the batch, all that follow, and wakes those who wait.
func TestD3FencedPartition(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	g := open(t, fs)
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	put(t, r)
	w := NewWatcher()
	r.Watch(w)
	defer r.Unwatch(w)
	fault := fs.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: faultfs.Base("segment_*"), Times: 1, Err: syscall.EIO})
	failed := make(outcome, 1)
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: failed}); err != nil {
		t.Fatal(err)
	}
	if err := failed.result(t); !errors.Is(err, wal.ErrFenced) || fault.Hits() != 1 {
		t.Errorf("the batch whose sync failed: %v", err)
	}
	woken(t, w)
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, wal.ErrFenced) {
		t.Errorf("the next batch: %v, want ErrFenced", err)
	}
	if hw := r.HighWatermark(); hw != 1 {
		t.Errorf("the watermark is %d, want the 1 that was synced", hw)
	}
	if err := g.end(); err != nil {
		t.Errorf("closing a fenced partition: %v", err)
	}
}

func TestReadBounds(t *testing.T) {
	g := open(t, crashfs.New(1))
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	for range 4 {
		put(t, r)
	}
	if low, err := r.DeleteBefore(2); err != nil || low != 2 {
		t.Fatalf("DeleteBefore: %d, %v", low, err)
	}
	size := len(batch(t, record.Options{}, now))
	for _, tc := range []struct {
		name  string
		q     ReadRequest
		bytes int
		err   error
	}{
		{"all", ReadRequest{From: 2, MaxBytes: 1 << 20, LastEpoch: -1}, 2 * size, nil},
		{"committed", ReadRequest{From: 2, MaxBytes: 1 << 20, LastEpoch: -1, Committed: true}, 2 * size, nil},
		{"one", ReadRequest{From: 3, MaxBytes: 1 << 20, LastEpoch: -1}, size, nil},
		{"no room", ReadRequest{From: 2, MaxBytes: 0, LastEpoch: -1}, 0, nil},
		{"less than no room", ReadRequest{From: 2, MaxBytes: -5, LastEpoch: -1}, 0, nil},
		{"no room, but one must be", ReadRequest{From: 2, MaxBytes: -5, MinOne: true, LastEpoch: -1}, size, nil},
		{"at the end", ReadRequest{From: 4, MaxBytes: 1 << 20, LastEpoch: -1}, 0, nil},
		{"behind the end", ReadRequest{From: 5, MaxBytes: 1 << 20, LastEpoch: -1}, 0, ErrOffsetOutOfRange},
		{"deleted", ReadRequest{From: 1, MaxBytes: 1 << 20, LastEpoch: -1}, 0, ErrOffsetOutOfRange},
		{"deleted, with an epoch", ReadRequest{From: 1, MaxBytes: 1 << 20, LastEpoch: 0}, 0, ErrOffsetOutOfRange},
		{"an epoch that never was", ReadRequest{From: 2, MaxBytes: 1 << 20, LastEpoch: 9}, 0, ErrOffsetOutOfRange},
	} {
		tc.q.LeaderEpoch = model.NoEpoch
		res, err := r.Read(tc.q)
		got := 0
		if res.Records != nil {
			got = res.Records.Len()
			res.Records.Release()
		}
		if got != tc.bytes || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", tc.name, got, err, tc.bytes, tc.err)
		}
		if res.HighWatermark != 4 || res.LogStart != 2 {
			t.Errorf("%s: watermark %d, start %d; want 4 and 2", tc.name, res.HighWatermark, res.LogStart)
		}
	}
	for _, to := range []model.Offset{-2, 5} {
		if _, err := r.DeleteBefore(to); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("DeleteBefore(%d): %v", to, err)
		}
	}
}
