package replica

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// rig is a Set over a file system.
type rig struct {
	*Set
	t      testing.TB
	fs     vfs.FS
	log    *syncBuffer
	commit *wal.Committer
	once   sync.Once
}

// open makes a Set. It is closed when the test ends, whether that works or not.
func open(t testing.TB, fs vfs.FS) *rig {
	t.Helper()
	g := &rig{t: t, fs: fs, log: new(syncBuffer), commit: wal.NewCommitter(wal.CommitterOptions{FS: fs})}
	s, err := NewSet(Env{Node: 1, FS: fs, Disks: []Disk{{Dir: "/data", Committer: g.commit}}, Now: time.Now, Log: slog.New(slog.NewTextHandler(g.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	g.Set = s
	t.Cleanup(func() { _ = g.end() })
	return g
}

// end closes the set and its committer, once.
func (g *rig) end() (err error) {
	g.once.Do(func() {
		err = g.Close()
		g.commit.Close()
	})
	return err
}

var t0 = model.TopicPartition{Topic: "t", Partition: 0}

// assign is an assignment that leads.
func assign(tp model.TopicPartition, id byte, epoch model.LeaderEpoch) Assignment {
	return Assignment{Partition: tp, TopicID: model.TopicID{id}, State: alone(1, epoch), Settings: &Settings{Log: wal.DefaultConfig(), Policy: policy(), MinISR: 1}}
}

// alone is the state of a partition whose only replica is on broker 1.
func alone(leader model.BrokerID, epoch model.LeaderEpoch) *image.Partition {
	return &image.Partition{Replicas: []model.BrokerID{1}, ISR: []model.BrokerID{1}, Leader: leader, LeaderEpoch: epoch, LastKnownLeader: model.NoBroker}
}

// outcome is a waiter that a test can wait for.
type outcome chan error

func (o outcome) Done(err error) { o <- err }

// result is what became of a batch.
func (o outcome) result(t testing.TB) error {
	t.Helper()
	select {
	case err := <-o:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("nobody told the waiter")
		return nil
	}
}

// put appends one record and waits until it is durable.
func put(t testing.TB, r *Replica) model.Offset {
	t.Helper()
	w := make(outcome, 1)
	at, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: -1, Waiter: w})
	if err == nil {
		err = w.result(t)
	}
	if err != nil {
		t.Fatalf("appending to %s: %v", r.Partition(), err)
	}
	return at.BaseOffset
}

// woken waits for a watcher to be woken.
func woken(t testing.TB, w *Watcher) {
	t.Helper()
	select {
	case <-w.C():
	case <-time.After(20 * time.Second):
		t.Fatal("the watcher was not woken")
	}
}

// syncBuffer is a log that many goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
