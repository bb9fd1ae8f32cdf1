package raftlink

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/memnet"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/quorum"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// box is a real replica of a real quorum, on a network and a disk in memory.
type box struct {
	*quorum.Raft
	t    *testing.T
	end  *end
	self quorum.Replica
	fs   *crashfs.FS
	com  *wal.Committer
}

func newBox(t *testing.T, n *memnet.Network, node int, found bool) *box {
	b := &box{t: t, self: replica(node), fs: crashfs.New(uint64(node))}
	if err := b.fs.MkdirAll("data/wal"); err != nil {
		t.Fatal(err)
	}
	b.end = start(t, n, b.self, found) // the others learn from it where it is
	b.com = wal.NewCommitter(wal.CommitterOptions{FS: b.fs, Workers: 1, OpenFiles: 4})
	r, err := quorum.OpenRaft(quorum.RaftOptions{Transport: b.end.Transport, KeepEntries: 5, DiskOptions: quorum.DiskOptions{Self: b.self, Found: found,
		Options: quorum.Options{FS: b.fs, Dir: "data/wal/__meta", ClusterID: "cluster", Committer: b.com, SnapshotEvery: 20, Log: quiet()}}})
	if err != nil {
		t.Fatal(err)
	}
	b.Raft = r
	b.end.Bind(r)
	return b
}

func (b *box) close() {
	b.end.stop()
	if err := b.Close(); err != nil {
		b.t.Error(err)
	}
	b.com.Close()
}

func (b *box) set(value string) error {
	_, err := b.Propose(b.t.Context(), func(*image.Image) ([]*command.Command, error) {
		return []*command.Command{command.ClusterConfig(command.Values(map[string]string{"k": value}), nil)}, nil
	})
	return err
}

// leader waits until one of them is the active controller.
func leader(t *testing.T, boxes ...*box) *box {
	t.Helper()
	for range 200 {
		for _, b := range boxes {
			if _, _, _, active := b.Leader(); active {
				return b
			}
		}
		time.Sleep(quorum.TickInterval)
		synctest.Wait()
	}
	t.Fatal("nobody leads")
	return nil
}

// has waits until a replica has applied a value.
func (b *box) has(value string) {
	b.t.Helper()
	for range 200 {
		if b.Images().Load().ClusterConfigs()["k"] == value {
			return
		}
		time.Sleep(quorum.TickInterval)
	}
	b.t.Fatalf("node %d has %q, not %q", b.self.Node, b.Images().Load().ClusterConfigs()["k"], value)
}

// TestQuorum: three replicas over real links elect, replicate, lose their leader, take it back, and bring it up to date with a snapshot.
func TestQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		boxes := []*box{newBox(t, n, 1, true), newBox(t, n, 2, false), newBox(t, n, 3, false)}
		defer func() {
			for _, b := range boxes {
				b.close()
			}
		}()
		leader(t, boxes[0])
		var all []quorum.Replica
		for _, b := range boxes {
			if all = append(all, b.self); b == boxes[0] {
				continue
			}
			if err := boxes[0].Admit(t.Context(), b.self); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range boxes {
			b.end.SetMembers(all)
			// In a cluster addresses are those of the registrations.
			b.end.known.Store(true)
		}
		if err := boxes[0].set("a"); err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			b.has("a")
		}
		n.Partition("n1", "n2")
		n.Partition("n1", "n3")
		began := time.Now()
		next := leader(t, boxes[1:]...)
		if took := time.Since(began); took > 2500*time.Millisecond {
			t.Errorf("the next leader was there after %v", took)
		}
		for i := range 60 { // behind the snapshot, and beyond what is kept
			if err := next.set(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := boxes[0].set("lost"); !errors.Is(err, quorum.ErrNotController) && !errors.Is(err, quorum.ErrUnknownOutcome) {
			t.Errorf("the leader that was cut off: %v", err)
		}
		n.Heal("n1", "n2")
		n.Heal("n1", "n3")
		boxes[0].has("59")
		if got := leader(t, boxes...); got != next {
			t.Errorf("node %d leads, node %d did: who came back has disturbed it", got.self.Node, next.self.Node)
		}
	})
}
