package wal

import (
	"reflect"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// TestCompactRandom: appends, rounds, crashes at any operation of a round, truncations above the high watermark that a round went by, upkeep and clean
// stops, in any order. What is left is what the rules leave, and producers are what all batches make of them (T1, L1, L6).
func TestCompactRandom(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		e, disk, _, _ := onDisks(t)
		k := newKeyed(t, e, seed)
		for step := 0; step < 25 && !t.Failed(); step++ {
			disk = k.step(t, e, disk)
			k.check(k.log, k.full, 0)
		}
		k.log.Abandon(nil)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// step does one thing, and returns the disk to go on with.
func (k *keyed) step(t *testing.T, e *env, disk *crashfs.FS) *crashfs.FS {
	t.Helper()
	want := producersOf(k.log)
	reopen := func(d *crashfs.FS) *crashfs.FS {
		k.log = e.reopen(t, d)
		if got := producersOf(k.log); !reflect.DeepEqual(got, want) {
			t.Fatalf("T1: producers are %+v, want %+v", got, want)
		}
		return d
	}
	switch k.rng.IntN(8) {
	case 0: // a crash somewhere in a round
		var found *crashfs.FS
		left, mode := k.rng.IntN(60), crashfs.Mode(k.rng.IntN(3))
		disk.OnOp(func(op crashfs.Op) {
			if op.Kind.Changes() && found == nil {
				if left--; left < 0 {
					found = disk.CrashClone(mode)
				}
			}
		})
		if _, err := k.compact(); err != nil {
			t.Fatal(err)
		}
		disk.OnOp(nil)
		if found == nil {
			found = disk.CrashClone(mode)
		}
		k.log.Abandon(nil)
		return reopen(found)
	case 1:
		if err := k.log.Close(); err != nil {
			t.Fatal(err)
		}
		return reopen(disk)
	case 2: // as a follower does: not below the high watermark (R2)
		low := max(k.high, k.log.Start())
		if n := int64(k.log.End() - low); n > 0 {
			k.truncate(t, low+model.Offset(k.rng.Int64N(n)))
		}
	case 3:
		if first := k.log.core.segs; len(first) > 3 {
			k.log.keepUp()
		}
	case 4, 5:
		out, err := k.compact()
		if err != nil {
			t.Fatal(err)
		}
		if out.Into > 0 {
			k.check(k.log, k.full, out.To)
		}
		if got := producersOf(k.log); !reflect.DeepEqual(got, want) {
			t.Fatalf("T1: producers are %+v, want %+v", got, want)
		}
	default:
		k.write(5 + k.rng.IntN(40))
	}
	return disk
}

// truncate cuts the log, and what was appended.
func (k *keyed) truncate(t *testing.T, to model.Offset) {
	t.Helper()
	if err := k.log.Truncate(to); err != nil {
		t.Fatal(err)
	}
	for n := len(k.full); n > 0 && k.full[n-1].LastOffset() >= k.log.End(); n-- {
		k.full = k.full[:n-1]
	}
	clear(k.open)
	clear(k.seqs)
	for _, p := range k.log.Producers() {
		k.open[p.Producer] = p.TxnStart >= 0
		k.seqs[p.Producer] = p.LastSeq + 1
	}
	scratch := newCore(Config{})
	for _, b := range k.full {
		scratch.replay(b, &[stateKinds]model.Offset{1 << 62, 0, 1 << 62})
	}
	want := scratch.producers.List()
	for i := range want {
		want[i].LastTimestamp = 0
	}
	if got := producersOf(k.log); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("T1: cut to %d, producers are %+v, want %+v", to, got, want)
	}
}
