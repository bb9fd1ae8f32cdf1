package quorum

import (
	"errors"
	"io"
	"log/slog"
	"path"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// follower is a disk that has the first entries of a log, and is about to get a snapshot in their place.
type follower struct {
	self    Replica
	disk    *Disk
	entries uint64
	save    *Save
	index   uint64 // of the snapshot
}

func openDisk(t *testing.T, f vfs.FS) (*Disk, *State, error) {
	t.Helper()
	if err := f.MkdirAll(path.Dir(metaDir)); err != nil {
		t.Fatal(err)
	}
	com := wal.NewCommitter(wal.CommitterOptions{FS: f, Workers: 1, OpenFiles: 4, Tick: time.Hour})
	com.Close() // every commit is inline
	return OpenDisk(DiskOptions{Self: Replica{Node: 3, Directory: image.UUID{3}}, Inline: true,
		Options: Options{FS: f, Dir: metaDir, ClusterID: "c", Committer: com, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}})
}

// imageAt leads from an empty image to that of an index.
func imageAt(t *testing.T, index, term uint64) *image.Image {
	t.Helper()
	im := image.New("c")
	for im.Index() < index {
		var err error
		commands := []*command.Command{command.ClusterConfig(command.Values(map[string]string{"k": "v"}), nil)}
		if im, _, err = image.Apply(im, commands, term, im.Index()+1); err != nil {
			t.Fatal(err)
		}
	}
	return im
}

func newFollower(t *testing.T, f vfs.FS) *follower {
	t.Helper()
	d, s, err := openDisk(t, f)
	if err != nil {
		t.Fatal(err)
	}
	w := &follower{self: d.opts.Self, disk: d, entries: 10, index: 50}
	v := s.vote
	v.term = 1
	first := &Save{steps: []step{{vote: &v}}}
	for i := range w.entries {
		e := &pb.Entry{Index: proto.Uint64(i + 1), Term: proto.Uint64(1), Type: pb.EntryNormal.Enum()}
		first.entries, first.steps[0].entries = append(first.entries, e), append(first.steps[0].entries, e)
	}
	if err := d.Save(first); err != nil {
		t.Fatal(err)
	}
	leader := Replica{Node: 1, Directory: image.UUID{1}}
	cs := &pb.ConfState{Voters: []uint64{leader.id()}, Learners: []uint64{w.self.id()}}
	data, err := encodeSnapshot(imageAt(t, w.index, 2), configuration{state: cs, replicas: replicas(nil).with([]Replica{leader, w.self}, cs)})
	if err != nil {
		t.Fatal(err)
	}
	v.term = 2
	w.save = &Save{steps: []step{{vote: &v}}, snapshot: &snapshot{index: w.index, term: 2, data: data}}
	return w
}

// check opens a disk that a failure has left: it has all of what was there before, or the snapshot, and nothing between.
func (w *follower) check(t *testing.T, f vfs.FS, when string) (installed bool) {
	t.Helper()
	d, s, err := openDisk(t, f)
	if err != nil {
		t.Fatalf("%s: the disk does not open: %v", when, err)
	}
	before := s.image.Index() == 0 && s.entries.last == w.entries && len(s.entries.recent) == int(w.entries)
	after := s.image.Index() == w.index && s.entries.last == w.index && s.named && s.image.ClusterConfigs()["k"] == "v"
	if before == after {
		t.Fatalf("%s: image %d and entries up to %d", when, s.image.Index(), s.entries.last)
	}
	if err := d.Close(nil); err != nil {
		t.Fatal(err)
	}
	return after
}

// TestTornSnapshot: wherever a crash hits the writing of a received snapshot, the disk has the state of before or the snapshot.
func TestTornSnapshot(t *testing.T) {
	for seed := range uint64(30) {
		f := crashfs.New(seed)
		w := newFollower(t, f)
		calls, old := 0, 0
		f.OnOp(func(op crashfs.Op) {
			if !op.Kind.Changes() {
				return
			}
			calls++
			if !w.check(t, f.CrashClone(crashfs.Mode(calls%3)), "a crash within") {
				old++
			}
		})
		if err := w.disk.Save(w.save); err != nil {
			t.Fatal(err)
		}
		f.OnOp(nil)
		if !w.check(t, f.CrashClone(crashfs.Lose), "a crash afterwards") {
			t.Error("a snapshot that was saved is gone")
		}
		if calls < 6 || old == 0 || old == calls {
			t.Errorf("%d crashes, %d of them before it counted: the test shows little", calls, old)
		}
	}
}

// TestFailedSnapshot: whichever call on the snapshot's file fails, the state of before is there afterwards, also when more than that is lost;
// with a full disk the same order works once there is space (E3).
func TestFailedSnapshot(t *testing.T) {
	temporary := faultfs.Base(snapshotName + vfs.TempSuffix)
	for name, c := range map[string]struct {
		ops     faultfs.Op
		err     error
		partial int64
	}{
		"create, full":       {ops: faultfs.OpCreate, err: syscall.ENOSPC},
		"write, full":        {ops: faultfs.OpWrite, err: syscall.ENOSPC},
		"half written, full": {ops: faultfs.OpWrite, err: syscall.ENOSPC, partial: 100},
		"write, broken":      {ops: faultfs.OpWrite, err: syscall.EIO},
		"sync, broken":       {ops: faultfs.OpSync, err: syscall.EIO},
		"sync, full":         {ops: faultfs.OpSync, err: syscall.ENOSPC},
		"rename, broken":     {ops: faultfs.OpRename, err: syscall.EIO},
		"rename, full":       {ops: faultfs.OpRename, err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			inner := crashfs.New(1)
			f := faultfs.New(inner)
			w := newFollower(t, f)
			fault := f.Inject(faultfs.Rule{Ops: c.ops, Match: temporary, Err: c.err, Partial: c.partial})
			err := w.disk.Save(w.save)
			if err == nil || fault.Hits() == 0 {
				t.Fatalf("it worked: %v, %d hits", err, fault.Hits())
			}
			for mode := range crashfs.Mode(3) {
				if w.check(t, inner.CrashClone(mode), "after the failure") {
					t.Error("what could not be written counts")
				}
			}
			fault.Stop()
			if !errors.Is(err, ErrNoSpace) {
				return
			}
			if err := w.disk.Save(w.save); err != nil {
				t.Fatalf("with space again: %v", err)
			}
			if !w.check(t, inner.CrashClone(crashfs.Lose), "with space again") {
				t.Error("it is not there")
			}
		})
	}
}
