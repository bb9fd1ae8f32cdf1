package quorum

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

func TestReopenGivesTheSameImage(t *testing.T) {
	f := crashfs.New(1)
	q := open(t, f, 0)
	for range 20 {
		must(t, q, grow)
	}
	before := q.Images().Load()
	if before.Index() != 20 || before.TopicCount() != 20 || before.Term() != localTerm {
		t.Fatalf("index %d, term %d, %d topics", before.Index(), before.Term(), before.TopicCount())
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, f, 0)
	same(t, before, q.Images().Load())
	if im := must(t, q, grow); im.Index() != 21 {
		t.Errorf("the log goes on at index %d, want 21", im.Index())
	}
}

// M1: nobody sees an image before its entry is synced: neither the follower, nor readers, nor the proposer.
func TestM1SyncedBeforeApplied(t *testing.T) {
	disk := crashfs.New(1)
	f := faultfs.New(disk)
	q, err := tryOpen(t, f, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	var order []string
	f.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: faultfs.Base("segment_*"), Before: func(faultfs.Call) {
		if q.Images().Load().Index() != uint64(len(order)/2) {
			t.Error("an image was published before the sync of its entry")
		}
	}})
	q.Follow(func(im *image.Image, d *image.Delta) {
		order = append(order, "followed")
		if im.Index() != q.Images().Load().Index()+1 || len(d.TopicsCreated) != 1 {
			t.Error("readers saw the image before the follower, or the delta is wrong")
		}
		// What the disk holds at this moment, whatever power loss takes, has the entry.
		again, err := tryOpen(t, disk.CrashClone(crashfs.Lose), "c", 0)
		if err != nil {
			t.Fatal(err)
		}
		same(t, im, again.Images().Load())
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		must(t, q, grow)
		order = append(order, "answered")
	}
	if got := strings.Join(order, " "); got != "followed answered followed answered followed answered" {
		t.Error(got)
	}
}

// M3: an I/O error stops the log. Nothing advances past it, and who waits for Done learns of it.
func TestM3AnIOErrorStopsTheLog(t *testing.T) {
	for name, op := range map[string]faultfs.Op{"sync": faultfs.OpSync, "write": faultfs.OpWrite} {
		t.Run(name, func(t *testing.T) {
			f := faultfs.New(crashfs.New(1))
			q := open(t, f, 0)
			must(t, q, grow)
			before := q.Images().Load()
			fault := f.Inject(faultfs.Rule{Ops: op, Match: faultfs.Base("segment_*"), Times: 1, Err: syscall.EIO})
			_, err := q.Propose(t.Context(), grow)
			if !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) || fault.Hits() != 1 {
				t.Fatalf("error %v, %d faults", err, fault.Hits())
			}
			select {
			case <-q.Done():
			default:
				t.Error("Done is not closed")
			}
			if !errors.Is(q.Err(), syscall.EIO) {
				t.Errorf("Err: %v", q.Err())
			}
			if q.Images().Load() != before {
				t.Error("the image moved on")
			}
			if _, err := q.Propose(t.Context(), grow); !errors.Is(err, ErrStopped) {
				t.Errorf("another proposal: %v", err)
			}
		})
	}
}

// What a request can do wrong is refused and stops nothing.
func TestARequestCannotStopTheLog(t *testing.T) {
	q := open(t, crashfs.New(1), 0)
	must(t, q, grow)
	refusal := errors.New("no")
	commands := func(cs ...*command.Command) Decide {
		return func(*image.Image) ([]*command.Command, error) { return cs, nil }
	}
	for name, c := range map[string]struct {
		decide Decide
		want   error
	}{
		"refusal":       {func(*image.Image) ([]*command.Command, error) { return nil, refusal }, refusal},
		"bad UTF-8":     {change("\xff"), nil},
		"no kind":       {commands(&command.Command{}), command.ErrFormat},
		"impossible":    {commands(command.Lead(&command.SetPartitionLeader{TopicId: append([]byte{0, 1}, append(make([]byte, 13), 1)...), Leader: 5})), command.ErrFormat},
		"too large":     {change(strings.Repeat("x", maxEntryBytes)), ErrTooLarge},
		"gone meantime": {commands(command.Delete(model.TopicID{1})), nil},
	} {
		im, err := q.Propose(t.Context(), c.decide)
		if err == nil || errors.Is(err, ErrStopped) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		if im.Index() != 1 {
			t.Errorf("%s: the log moved to %d", name, im.Index())
		}
	}
	if im := must(t, q, commands()); im.Index() != 1 {
		t.Error("nothing to do made an entry")
	}
	if im := must(t, q, grow); im.Index() != 2 {
		t.Error("the log does not go on")
	}
}

// E3: a full disk refuses what does not fit, and goes on when there is space. The reserve lets the first changes through.
func TestE3FullDisk(t *testing.T) {
	f := faultfs.New(crashfs.New(1))
	q := open(t, f, 0)
	must(t, q, grow)
	f.LimitSpace(0, syscall.ENOSPC)
	big := strings.Repeat("x", reserveBytes/2)
	if _, err := q.Propose(t.Context(), change(big)); err != nil {
		t.Fatalf("with the reserve: %v", err)
	}
	before := q.Images().Load()
	var err error
	for range 4 { // until the reserve is used up
		if _, err = q.Propose(t.Context(), change(big)); err != nil {
			break
		}
		before = q.Images().Load()
	}
	if !errors.Is(err, ErrNoSpace) || errors.Is(err, ErrStopped) {
		t.Fatalf("without space: %v", err)
	}
	if q.Images().Load() != before || q.Err() != nil {
		t.Error("the refused change left a trace")
	}
	f.UnlimitSpace()
	for range reserveEvery {
		must(t, q, grow)
	}
	if !q.reserve.held {
		t.Error("the reserve was not made again")
	}
	last := q.Images().Load()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, last, open(t, f, 0).Images().Load())
}

// E3: a node starts, and registers, on a disk without a single free block.
func TestE3StartsOnAFullDisk(t *testing.T) {
	f := faultfs.New(crashfs.New(1))
	q := open(t, f, 0)
	must(t, q, change(strings.Repeat("x", 3900))) // close to the end of a block
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	f.LimitSpace(0, syscall.ENOSPC)
	q = open(t, f, 0)
	must(t, q, change(strings.Repeat("y", 1000)))
}

func TestProposalsTakeTurns(t *testing.T) {
	q := open(t, crashfs.New(1), 0)
	const each = 10
	done := make(chan error)
	for range 8 {
		go func() {
			for range each {
				if _, err := q.Propose(t.Context(), grow); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err) // grow names topics by the index, so two decisions on one image would collide
		}
	}
	if n := q.Images().Load().TopicCount(); n != 8*each {
		t.Errorf("%d topics, want %d", n, 8*each)
	}
}

func TestContextEndsTheWaitForATurn(t *testing.T) {
	q, err := tryOpen(t, crashfs.New(1), "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Follow was not called: there is no turn yet
	if _, err := q.Propose(ctx, grow); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestClose(t *testing.T) {
	q := open(t, crashfs.New(1), 0)
	must(t, q, grow)
	for range 2 {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Propose(t.Context(), grow); !errors.Is(err, ErrStopped) {
		t.Errorf("after Close: %v", err)
	}
	if <-q.Done(); q.Err() != nil {
		t.Errorf("Err after Close: %v", q.Err())
	}
}

func TestSnapshotsTrimTheLog(t *testing.T) {
	f := crashfs.New(1)
	q := open(t, f, 10)
	for range 35 {
		must(t, q, grow)
	}
	last := q.Images().Load()
	if start := q.log.Start(); start != 30 {
		t.Errorf("the log starts at offset %d, want 30", start)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, f, 10)
	same(t, last, q.Images().Load())
	for range 5 {
		must(t, q, grow)
	}
	if start := q.log.Start(); start < 40 {
		t.Errorf("the log starts at offset %d, want 40 or more", start)
	}
}

func TestAFailedSnapshotIsTriedLater(t *testing.T) {
	f := faultfs.New(crashfs.New(1))
	q := open(t, f, 10)
	fault := f.Inject(faultfs.Rule{Ops: faultfs.OpRename, Match: faultfs.Base(snapshotName + "*"), Times: 1, Err: syscall.EIO})
	for range 19 {
		must(t, q, grow)
	}
	if fault.Hits() != 1 || q.log.Start() != 0 {
		t.Fatalf("%d faults, start %d", fault.Hits(), q.log.Start())
	}
	must(t, q, grow)
	if q.log.Start() != 20 {
		t.Errorf("start %d, want 20", q.log.Start())
	}
}

func TestDamageIsRefusedWithAdvice(t *testing.T) {
	prepare := func(t *testing.T) *crashfs.FS {
		f := crashfs.New(1)
		q := open(t, f, 10)
		for range 15 {
			must(t, q, grow)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, c := range map[string]struct {
		cluster string
		harm    func(*crashfs.FS) error
		want    error
		advice  string
	}{
		"snapshot flipped": {"c", func(f *crashfs.FS) error { return f.BitFlip(metaDir+"/"+snapshotName, 100, 3) }, image.ErrSnapshot, "from a backup"},
		"snapshot gone":    {"c", func(f *crashfs.FS) error { return f.Remove(metaDir + "/" + snapshotName) }, nil, "it begins at index 11"},
		"entry flipped":    {"c", func(f *crashfs.FS) error { return f.BitFlip(metaDir+"/segment_000.wal", 4096+70, 3) }, wal.ErrCorrupt, "backup"},
		"segment gone":     {"c", func(f *crashfs.FS) error { return f.Remove(metaDir + "/segment_000.wal") }, nil, "it ends at index 0"},
		"other cluster":    {"d", func(*crashfs.FS) error { return nil }, command.ErrCluster, "belongs to"},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepare(t)
			if err := c.harm(f); err != nil {
				t.Fatal(err)
			}
			_, err := tryOpen(t, f, c.cluster, 10)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.advice) {
				t.Errorf("error %v; want %v and %q", err, c.want, c.advice)
			}
		})
	}
}

// M5: from the first byte the log is a Raft log.
func TestM5EveryEntryIsARaftEntry(t *testing.T) {
	q := open(t, crashfs.New(1), 0)
	for range 3 {
		must(t, q, grow)
	}
	region, err := q.log.Read(0, 3, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	defer region.Release()
	data, err := region.ReadAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	for index := uint64(1); index <= 3; index++ {
		b, rest, err := record.Next(data)
		if err != nil {
			t.Fatal(err)
		}
		data = rest
		if uint64(b.BaseOffset()) != index-1 || b.LeaderEpoch() != localTerm || b.RecordCount() != 1 {
			t.Errorf("index %d: offset %d, epoch %d, %d records", index, b.BaseOffset(), b.LeaderEpoch(), b.RecordCount())
		}
		if _, err := q.decode(b); err != nil {
			t.Errorf("index %d: %v", index, err)
		}
	}
	if len(data) != 0 {
		t.Errorf("%d bytes behind the entries", len(data))
	}
}
