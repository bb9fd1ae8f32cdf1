package quorum

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"path"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

const metaDir = "data/wal/__meta"

// lane is a committer that ends with the test.
func lane(t testing.TB, f vfs.FS) *wal.Committer {
	c := wal.NewCommitter(wal.CommitterOptions{FS: f, Workers: 1, OpenFiles: 4})
	t.Cleanup(c.Close)
	return c
}

func tryOpen(t testing.TB, f vfs.FS, cluster string, every uint64) (*Local, error) {
	if err := f.MkdirAll(path.Dir(metaDir)); err != nil {
		t.Fatal(err)
	}
	return OpenLocal(Options{FS: f, Dir: metaDir, ClusterID: cluster, Committer: lane(t, f),
		SnapshotEvery: every, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// open opens the log of cluster c, followed by nobody, and closes it with the test.
func open(t testing.TB, f vfs.FS, every uint64) *Local {
	t.Helper()
	q, err := tryOpen(t, f, "c", every)
	if err != nil {
		t.Fatal(err)
	}
	q.Follow(func(*image.Image, *image.Delta) {})
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// change is a decision to set a cluster-wide value.
func change(value string) Decide {
	return func(*image.Image) ([]*command.Command, error) {
		return []*command.Command{command.ClusterConfig(command.Values(map[string]string{"k": value}), nil)}, nil
	}
}

// grow is a decision to create a topic named by the index it will be applied at.
func grow(im *image.Image) ([]*command.Command, error) {
	n := im.Index() + 1
	id := model.TopicID{byte(n >> 8), byte(n), 15: 1}
	cs := []*command.Command{command.Create(&command.CreateTopic{Name: fmt.Sprintf("t.%d", n), TopicId: id[:],
		Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}})}
	if im.Node(1) == nil {
		cs = append([]*command.Command{command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)})}, cs...)
	}
	return cs, nil
}

func must(t testing.TB, q *Local, d Decide) *image.Image {
	t.Helper()
	im, err := q.Propose(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func snapshotOf(t testing.TB, im *image.Image) []byte {
	t.Helper()
	data, err := image.EncodeSnapshot(im)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func same(t testing.TB, a, b *image.Image) {
	t.Helper()
	if !bytes.Equal(snapshotOf(t, a), snapshotOf(t, b)) {
		t.Errorf("M2: the images at index %d and %d differ", a.Index(), b.Index())
	}
}
