package replica

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

func TestSetFindsWhatItHolds(t *testing.T) {
	g := open(t, crashfs.New(1))
	other := model.TopicPartition{Topic: "t", Partition: 1}
	g.Ensure(assign(t0, 1, 0))
	g.Ensure(assign(other, 1, 0))
	if g.Get(t0) == nil || g.Get(other) == nil || g.Get(model.TopicPartition{Topic: "t", Partition: 2}) != nil || g.Len() != 2 {
		t.Fatalf("the set holds %d partitions, want t-0 and t-1", g.Len())
	}
	same := g.Get(t0)
	g.Ensure(assign(t0, 1, 3))
	if g.Get(t0) != same {
		t.Error("a partition that stays was replaced")
	}
	g.Remove(t0)
	g.Remove(t0)
	if g.Get(t0) != nil || g.Len() != 1 {
		t.Error("a removed partition is still found")
	}
}

// TestL5CreatedAgain: a topic created again under its name shares nothing with the old one, whether the set heard of the
// deletion, saw only the new ID, or was not running.
func TestL5CreatedAgain(t *testing.T) {
	for _, way := range []string{"removed", "replaced", "while down"} {
		t.Run(way, func(t *testing.T) {
			fs := crashfs.New(1)
			g := open(t, fs)
			g.Ensure(assign(t0, 1, 0))
			old := g.Get(t0)
			put(t, old)
			put(t, old)
			switch way {
			case "removed":
				g.Remove(t0)
			case "while down":
				if err := g.end(); err != nil {
					t.Fatal(err)
				}
				g = open(t, fs)
			}
			g.Ensure(assign(t0, 2, 0))
			r := g.Get(t0)
			if at := put(t, r); at != 0 {
				t.Errorf("the new topic's first batch stands at %d, want 0", at)
			}
			if r.HighWatermark() != 1 || r.TopicID() != (model.TopicID{2}) {
				t.Errorf("the new topic has watermark %d and ID %v", r.HighWatermark(), r.TopicID())
			}
			if _, err := old.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrNotLeader) {
				t.Errorf("appending to the old topic: %v, want ErrNotLeader", err)
			}
			g.leaving.all.Wait()
			if left, err := fs.ReadDir("/data/wal/deleted"); err != nil || len(left) != 0 {
				t.Errorf("left in deleted: %v, %v", left, err)
			}
		})
	}
}

// TestRemoveStrays: directories of partitions that nobody knows go; what is not a partition's stays.
func TestRemoveStrays(t *testing.T) {
	fs := crashfs.New(1)
	g := open(t, fs)
	gone := model.TopicPartition{Topic: "gone", Partition: 3}
	g.Ensure(assign(t0, 1, 0))
	g.Ensure(assign(gone, 2, 0))
	put(t, g.Get(t0))
	put(t, g.Get(gone))
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll("/data/wal/partitions/lost+found"); err != nil {
		t.Fatal(err)
	}
	g = open(t, fs)
	g.Ensure(assign(t0, 1, 0))
	if err := g.RemoveStrays(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"t-0": true, "gone-3": false, "lost+found": true} {
		if _, err := fs.Stat("/data/wal/partitions/" + name); (err == nil) != want {
			t.Errorf("%s: %v; want it to be there: %v", name, err, want)
		}
	}
	if hw := put(t, g.Get(t0)); hw != 1 {
		t.Errorf("the partition that stayed continues at %d, want 1", hw)
	}
}

// TestR8RemovalDoesNotWaitForTheDisk: a sync that hangs holds up nobody who applies metadata. The partition is gone at
// once, and what waits behind the sync learns it when it can. A topic created again meanwhile, and even deleted and
// created once more, has nothing of the old one.
func TestR8RemovalDoesNotWaitForTheDisk(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	g := open(t, fs)
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	put(t, r)
	syncing, goOn := make(chan struct{}), make(chan struct{})
	fs.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: faultfs.Base("segment_*"), Times: 1, Before: func(faultfs.Call) {
		close(syncing)
		<-goOn
	}})
	first, queued := make(outcome, 1), make(outcome, 1)
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: first}); err != nil {
		t.Fatal(err)
	}
	<-syncing
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: queued}); err != nil {
		t.Fatal(err)
	}
	log, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	g.Remove(t0) // returns, though the sync does not
	if g.Get(t0) != nil {
		t.Error("a removed partition is still found")
	}
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("appending to a removed partition: %v, want ErrNotLeader", err)
	}
	g.Ensure(assign(t0, 2, 0))
	g.Remove(t0)
	g.Ensure(assign(t0, 3, 0))
	anew, at := make(outcome, 2), make(chan model.Offset, 1)
	go func() {
		out, err := g.Get(t0).Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: anew})
		if err != nil {
			anew <- err
		}
		at <- out.BaseOffset
	}()
	for err == nil { // until the log is closed to appends: now its end waits for the sync
		_, err = log.Append(wal.Append{Batch: batch(t, record.Options{}, now)})
		runtime.Gosched()
	}
	close(goOn)
	if err := first.result(t); err != nil {
		t.Errorf("the batch that was being synced: %v", err)
	}
	if err := queued.result(t); !errors.Is(err, ErrUnknownPartition) {
		t.Errorf("the queued batch: %v, want ErrUnknownPartition", err)
	}
	if err := anew.result(t); err != nil {
		t.Errorf("the new topic's first batch: %v", err)
	}
	if off := <-at; off != 0 || g.Get(t0).TopicID() != (model.TopicID{3}) {
		t.Errorf("the new topic's first batch stands at %d, want 0", off)
	}
	g.leaving.all.Wait()
	if left, err := fs.ReadDir("/data/wal/deleted"); err != nil || len(left) != 0 {
		t.Errorf("left in deleted: %v, %v", left, err)
	}
	if g.leaving.before(t0) != nil {
		t.Error("a removal that is over is still waited for")
	}
}

// TestALogThatDoesNotOpen: the partition is offline, says so, and hurts no other.
func TestALogThatDoesNotOpen(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	g := open(t, fs)
	bad := model.TopicPartition{Topic: "bad", Partition: 0}
	fs.Inject(faultfs.Rule{Ops: faultfs.OpAny, Match: func(c faultfs.Call) bool { return strings.Contains(c.Name, "bad-0") }, Err: syscall.EIO})
	g.Ensure(assign(bad, 1, 0))
	g.Ensure(assign(t0, 2, 0))
	g.OpenAll(context.Background())
	if _, err := g.Get(bad).Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrStorage) {
		t.Errorf("appending: %v, want ErrStorage", err)
	}
	if _, err := g.Get(bad).Read(ReadRequest{LeaderEpoch: model.NoEpoch, LastEpoch: model.NoEpoch}); !errors.Is(err, ErrStorage) {
		t.Errorf("reading: %v, want ErrStorage", err)
	}
	put(t, g.Get(t0))
	if log := g.log.String(); !strings.Contains(log, "bad-0") || !strings.Contains(log, "offline") {
		t.Errorf("the log does not say which partition is offline: %s", log)
	}
	if err := g.end(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestCloseKeepsEverything: what was appended is there after a clean stop, and nothing is accepted in between.
func TestCloseKeepsEverything(t *testing.T) {
	fs := crashfs.New(1)
	g := open(t, fs)
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	for range 5 {
		put(t, r)
	}
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("appending after Close: %v, want ErrNotLeader", err)
	}
	g = open(t, fs.Crash(crashfs.Lose))
	g.Ensure(assign(t0, 1, 1))
	if _, err := g.Get(t0).Log(); err != nil {
		t.Fatal(err)
	}
	if hw := g.Get(t0).HighWatermark(); hw != 5 {
		t.Errorf("after a restart the watermark is %d, want 5", hw)
	}
}
