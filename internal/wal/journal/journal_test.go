package journal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

const testDir = "d/journal"

func newJournal(t *testing.T, fsys vfs.FS, half int64) *Journal {
	t.Helper()
	j := New(Options{FS: fsys, Dir: testDir, HalfBytes: half})
	if err := j.Prepare(); err != nil {
		t.Fatal(err)
	}
	return j
}

func key(n int) Key {
	return Key{Dir: fmt.Sprintf("partitions/t-%d", n), TopicID: model.TopicID{byte(n)}, Partition: int32(n)}
}

// ranged is a range of log n with bytes that tell it from others, in two pieces.
func ranged(n int, pos int64, size int) Range {
	b := bytes.Repeat([]byte{byte(n), byte(pos), byte(size)}, size)[:size]
	return Range{Key: key(n), Segment: int64(n) + 5, Pos: pos, Bufs: [][]byte{b[:size/2], b[size/2:]}}
}

func add(t *testing.T, j *Journal, ranges ...Range) uint64 {
	t.Helper()
	gen, err := j.Add(ranges)
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

func read(t *testing.T, fsys vfs.FS) Contents {
	t.Helper()
	c, err := Read(fsys, testDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func expect(t *testing.T, got Contents, want ...Range) {
	t.Helper()
	same := slices.EqualFunc(got.Ranges, want, func(a, b Range) bool {
		return a.Key == b.Key && a.Segment == b.Segment && a.Pos == b.Pos && bytes.Equal(bytes.Join(a.Bufs, nil), bytes.Join(b.Bufs, nil))
	})
	if !same {
		t.Fatalf("read %d ranges, want %d:\n%v\n%v", len(got.Ranges), len(want), got.Ranges, want)
	}
}

func TestReadsWhatWasAdded(t *testing.T) {
	disk := crashfs.New(1)
	j := newJournal(t, disk, 1<<20)
	if c := read(t, disk); c.Empty || len(c.Ranges) != 0 || c.Rot != nil {
		t.Fatalf("a prepared journal holds %+v", c)
	}
	one, two, three := ranged(1, 4096, 100), ranged(2, 9000, 70_000), ranged(1, 4196, 1)
	add(t, j, one, two)
	add(t, j, three)
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), one, two, three)
	if err := j.Close(false); err != nil {
		t.Fatal(err)
	}
	if err := Clear(disk, testDir); err != nil {
		t.Fatal(err)
	}
	if c := read(t, disk.CrashClone(crashfs.Lose)); !c.Empty || len(c.Ranges) != 0 {
		t.Fatalf("after Clear: %+v", c)
	}
}

// TestTornRecord cuts the last write at every byte. The records before it stay, and nothing is called rot (L1).
func TestTornRecord(t *testing.T) {
	disk := crashfs.New(1)
	j := newJournal(t, disk, 8*pageBytes)
	first, last := ranged(1, 4096, 500), []Range{ranged(2, 4096, 300), ranged(3, 4096, 6000)}
	add(t, j, first)
	add(t, j, last...)
	name := testDir + "/" + fileNames[j.current.gen%halves]
	_, n, err := disk.LastWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	used := int64(headBytes + 2*entryFixed + len(last[0].Dir) + len(last[1].Dir) + 6300)
	for keep := range n {
		torn, err := disk.TornClone(name, keep)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, torn)
		if got.Rot != nil {
			t.Fatalf("%d of %d bytes written: %v", keep, n, got.Rot)
		}
		if keep < used {
			expect(t, got, first)
		} else {
			expect(t, got, append([]Range{first}, last...)...)
		}
	}
}

// TestLapsTakeTurns: a lap is overwritten only after it was freed, and never before an older one.
func TestLapsTakeTurns(t *testing.T) {
	disk := crashfs.New(1)
	j := newJournal(t, disk, 4*pageBytes) // three records each
	var want []Range
	for i := range 6 {
		r := ranged(i, 4096, 100)
		want = append(want, r)
		if gen := add(t, j, r); gen != uint64(1+i/3) {
			t.Fatalf("record %d went to lap %d", i, gen)
		}
	}
	if _, err := j.Add([]Range{ranged(9, 4096, 100)}); !errors.Is(err, ErrFull) || j.Room() {
		t.Fatalf("a full journal: %v, room: %t", err, j.Room())
	}
	j.Free(2) // the younger one alone does not help
	if _, err := j.Add([]Range{ranged(9, 4096, 100)}); !errors.Is(err, ErrFull) || j.Room() {
		t.Fatalf("a full journal: %v, room: %t", err, j.Room())
	}
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), want...)
	j.Free(1)
	r := ranged(9, 4096, 100)
	if gen := add(t, j, r); gen != 3 || !j.Room() {
		t.Fatalf("lap %d", gen)
	}
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), append(want[3:], r)...)
	if j.Holds(key(0)) || !j.Holds(key(3)) || !j.Holds(key(9)) {
		t.Fatal("the journal holds what was overwritten, or not what is there")
	}
}

// TestVoid: what was added before does not count, what comes after does, and a full journal takes it too (L3).
func TestVoid(t *testing.T) {
	disk := crashfs.New(1)
	j := newJournal(t, disk, 4*pageBytes)
	stays, later := ranged(2, 4096, 10), ranged(1, 5000, 20)
	add(t, j, ranged(1, 4096, 10), stays)
	add(t, j, ranged(1, 4106, 10))
	if err := j.Void(key(1)); err != nil {
		t.Fatal(err)
	}
	if j.Holds(key(1)) || !j.Holds(key(2)) {
		t.Fatal("the wrong log was voided")
	}
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), stays)
	add(t, j, later)
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), stays, later)
	add(t, j, ranged(3, 1, 1))
	add(t, j, ranged(3, 2, 1))
	if _, err := j.Add([]Range{ranged(3, 3, 1)}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := j.Void(key(3 - i)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, read(t, disk.CrashClone(crashfs.Lose)))
	before := disk.Count(crashfs.OpWrite)
	if err := j.Void(key(7)); err != nil || disk.Count(crashfs.OpWrite) != before {
		t.Fatal("a log that no record names was voided", err)
	}
}

// TestRot flips every sector's first bit in turn. What is lost is reported unless it could be a torn end, and a
// void that is lost makes the journal unreadable (L2, L3).
func TestRot(t *testing.T) {
	build := func(voids bool) (*crashfs.FS, []Range) {
		disk := crashfs.New(1)
		j := newJournal(t, disk, 1<<20)
		all := []Range{ranged(1, 4096, 3000), ranged(2, 4096, 3000), ranged(3, 4096, 3000)}
		add(t, j, all[0])
		if voids {
			if err := j.Void(key(1)); err != nil {
				t.Fatal(err)
			}
		}
		add(t, j, all[1])
		add(t, j, all[2])
		return disk, all
	}
	disk, all := build(false)
	name := testDir + "/" + fileNames[1]
	for at := int64(0); at < 3*pageBytes; at += vfs.SectorSize {
		rotten := disk.CrashClone(crashfs.Keep)
		if err := rotten.BitFlip(name, at+1, 0); err != nil {
			t.Fatal(err)
		}
		got := read(t, rotten)
		switch page := at / pageBytes; {
		case page == 0: // the header is there twice
			expect(t, got, all...)
		case at%pageBytes >= 3200: // padding
			expect(t, got, all...)
		case page == 1 && got.Rot == nil, page == 2 && got.Rot == nil:
			t.Fatalf("rot at %d: nothing was said", at)
		default:
			expect(t, got, append(slices.Clone(all[:page-1]), all[page:]...)...)
		}
	}
	disk, _ = build(true)
	if err := disk.BitFlip(name, 2*pageBytes, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(disk, testDir); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a void was lost: %v", err)
	}
}

// TestForgedRecord: bytes that a client chose do not become a record, even if they are a copy of one from an earlier lap
// and lie where one could begin.
func TestForgedRecord(t *testing.T) {
	disk := crashfs.New(1)
	j := newJournal(t, disk, 16*pageBytes)
	add(t, j, ranged(1, 4096, 100))
	f, err := disk.Open(testDir + "/" + fileNames[1])
	if err != nil {
		t.Fatal(err)
	}
	old := make([]byte, pageBytes)
	if _, err := f.ReadAt(old, pageBytes); err != nil {
		t.Fatal(err)
	}
	for j.current.gen < 3 { // lap 3 lies in the same file
		_, err := j.Add([]Range{ranged(2, 4096, 3*pageBytes)})
		if errors.Is(err, ErrFull) {
			j.Free(j.current.gen - 1)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt(old, j.pos); err != nil {
		t.Fatal(err)
	}
	got := read(t, disk)
	if got.Rot != nil || slices.ContainsFunc(got.Ranges, func(r Range) bool { return r.Key == key(1) }) {
		t.Fatalf("a forged record was taken for one: %+v", got.Rot)
	}
}

// TestFailureIsFinal: after a sync that failed nothing is added any more (D3). What was there stays.
func TestFailureIsFinal(t *testing.T) {
	disk := crashfs.New(1)
	faults := faultfs.New(disk)
	j := newJournal(t, faults, 1<<20)
	first := ranged(1, 4096, 100)
	add(t, j, first)
	faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Err: syscall.EIO})
	if _, err := j.Add([]Range{ranged(1, 4196, 100)}); !errors.Is(err, syscall.EIO) && err == nil {
		t.Fatal("a failed sync was taken for success")
	}
	if _, err := j.Add([]Range{ranged(2, 4096, 100)}); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if err := j.Void(key(1)); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if got := read(t, disk.CrashClone(crashfs.Lose)); len(got.Ranges) == 0 {
		t.Fatal("what was durable is gone")
	}
	if err := j.Close(false); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk: without space for its files there is no journal, and no trace of one; later there may be.
func TestFullDisk(t *testing.T) {
	disk := crashfs.New(1)
	faults := faultfs.New(disk)
	faults.LimitSpace(10*pageBytes, syscall.ENOSPC)
	j := New(Options{FS: faults, Dir: testDir, HalfBytes: 8 * pageBytes})
	if err := j.Prepare(); !errors.Is(err, vfs.ErrNoSpace) || j.Usable() {
		t.Fatalf("Prepare on a full disk: %v", err)
	}
	if _, err := j.Add([]Range{ranged(1, 4096, 100)}); !errors.Is(err, ErrUnready) {
		t.Fatal(err)
	}
	if c := read(t, disk); !c.Empty {
		t.Fatal("something was left behind")
	}
	faults.UnlimitSpace()
	if err := j.Prepare(); err != nil {
		t.Fatal(err)
	}
	r := ranged(1, 4096, 100)
	faults.LimitSpace(0, syscall.ENOSPC) // its space is its own
	add(t, j, r)
	expect(t, read(t, disk.CrashClone(crashfs.Lose)), r)
}

// TestClearIsAllOrNothing cuts the power at every step of Clear: what is found is everything, or only what the younger
// lap holds, or nothing, and never looks like rot.
func TestClearIsAllOrNothing(t *testing.T) {
	for seed := range uint64(40) {
		disk := crashfs.New(seed)
		j := newJournal(t, disk, 4*pageBytes)
		var all []Range
		for i := range 5 {
			all = append(all, ranged(i, 4096, 50))
			add(t, j, all[i])
		}
		if err := j.Close(false); err != nil {
			t.Fatal(err)
		}
		step := 0
		disk.OnOp(func(op crashfs.Op) {
			if !op.Kind.Changes() {
				return
			}
			step++
			found := disk.CrashClone(crashfs.Random)
			got := read(t, found)
			if got.Rot != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, got.Rot)
			}
			switch len(got.Ranges) {
			case 5:
				expect(t, got, all...)
			case 2:
				expect(t, got, all[3:]...)
			case 0:
			default:
				t.Fatalf("seed %d, step %d: %d ranges", seed, step, len(got.Ranges))
			}
		})
		if err := Clear(disk, testDir); err != nil {
			t.Fatal(err)
		}
		disk.OnOp(nil)
	}
}
