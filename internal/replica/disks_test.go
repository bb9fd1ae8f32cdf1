package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// onDirs makes a Set over several data directories. Those in failed could not be used.
func onDirs(t testing.TB, fs vfs.FS, more func(*Env), dirs ...string) *rig {
	t.Helper()
	g := &rig{t: t, fs: fs, log: new(syncBuffer)}
	env := Env{Node: 1, FS: fs, Now: time.Now, Log: slog.New(slog.NewTextHandler(g.log, nil))}
	var commits []*wal.Committer
	for _, dir := range dirs {
		d := Disk{Dir: strings.TrimPrefix(dir, "!"), Committer: wal.NewCommitter(wal.CommitterOptions{FS: fs})}
		if d.Dir != dir {
			d.Failed = syscall.EIO
		}
		commits = append(commits, d.Committer)
		env.Disks = append(env.Disks, d)
	}
	if more != nil {
		more(&env)
	}
	g.commit = commits[0]
	var err error
	if g.Set, err = NewSet(env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.end()
		for _, c := range commits {
			c.Close()
		}
	})
	return g
}

func part(n int) model.TopicPartition { return model.TopicPartition{Topic: "t", Partition: int32(n)} }

// where says which partition lies where.
func (g *rig) where() string {
	at := make(map[int]string)
	for r := range g.All {
		at[int(r.partition.Partition)] = r.Dir()
	}
	return fmt.Sprint(at)
}

// TestPartitionsSpread: new partitions go where the fewest are, and stay there.
func TestPartitionsSpread(t *testing.T) {
	disk := crashfs.New(1)
	g := onDirs(t, disk, nil, "/a", "/b", "/c")
	for n := range 6 {
		g.Ensure(assign(part(n), 1, 0))
	}
	want := "map[0:/a 1:/b 2:/c 3:/a 4:/b 5:/c]"
	if got := g.where(); got != want {
		t.Errorf("placed: %s, want %s", got, want)
	}
	for n := range 6 {
		if n != 4 { // which stays empty
			put(t, g.Get(part(n)))
		}
		if _, err := g.Get(part(n)).Log(); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	g = onDirs(t, disk.CrashClone(crashfs.Lose), nil, "/a", "/c", "/b")
	for n := range 8 {
		g.Ensure(assign(part(n), 1, 1))
	}
	want = "map[0:/a 1:/b 2:/c 3:/a 4:/b 5:/c 6:/a 7:/c]"
	if got := g.where(); got != want {
		t.Errorf("after a restart: %s, want %s", got, want)
	}
	g.Remove(part(0))
	g.Remove(part(3))
	g.Ensure(assign(part(9), 1, 0))
	if d := g.Get(part(9)).Dir(); d != "/a" {
		t.Errorf("a new partition goes to %s, want where the fewest are", d)
	}
}

// TestD3DirectoryFails: one log's failed sync takes its whole directory out of use, and nothing else. With the next start it is back.
func TestD3DirectoryFails(t *testing.T) {
	disk := crashfs.New(1)
	files := faultfs.New(disk)
	g := onDirs(t, files, nil, "/a", "/b")
	for n := range 4 {
		g.Ensure(assign(part(n), 1, 0))
		put(t, g.Get(part(n)))
	}
	files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: func(c faultfs.Call) bool { return strings.HasPrefix(c.Name, "/b/wal/partitions/t-1/") }, Err: syscall.EIO})
	w := make(outcome, 1)
	if _, err := g.Get(part(1)).Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: w}); err != nil {
		t.Fatal(err)
	}
	if err := w.result(t); err == nil {
		t.Fatal("a batch that could not be synced was acknowledged")
	}
	for g.Get(part(3)).log.Load() != nil {
		watch := NewWatcher()
		g.Get(part(3)).Watch(watch)
		if g.Get(part(3)).log.Load() != nil {
			woken(t, watch)
		}
		g.Get(part(3)).Unwatch(watch)
	}
	for _, n := range []int{1, 3} {
		if _, err := g.Get(part(n)).Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1}); !errors.Is(err, ErrStorage) && !errors.Is(err, wal.ErrFenced) {
			t.Errorf("partition %d: %v, want ErrStorage", n, err)
		}
	}
	put(t, g.Get(part(0)))
	put(t, g.Get(part(2)))
	if dirs := g.Dirs(); dirs[0].Err != nil || !errors.Is(dirs[1].Err, syscall.EIO) {
		t.Errorf("directories: %v", dirs)
	}
	g.Started()
	g.Ensure(assign(part(4), 1, 0))
	if got, want := g.where(), "map[0:/a 1: 2:/a 3: 4:/a]"; got != want {
		t.Errorf("while /b has failed: %s, want %s", got, want)
	}
	_ = g.end()
	g = onDirs(t, disk.CrashClone(crashfs.Lose), nil, "/a", "/b")
	for n := range 4 {
		g.Ensure(assign(part(n), 1, 1))
		if hw := put(t, g.Get(part(n))); hw < 1 {
			t.Errorf("partition %d has lost what it had: the next offset was %d", n, hw)
		}
	}
}

// TestDirectoryMissingAtStart: what is not found may be where nobody can look: it is offline and not begun anew. New partitions go elsewhere.
func TestDirectoryMissingAtStart(t *testing.T) {
	disk := crashfs.New(1)
	g := onDirs(t, disk, nil, "/a", "/b")
	for n := range 2 {
		g.Ensure(assign(part(n), 1, 0))
		put(t, g.Get(part(n)))
	}
	_ = g.end()
	g = onDirs(t, disk, nil, "/a", "!/b")
	for n := range 2 {
		g.Ensure(assign(part(n), 1, 1))
	}
	g.Started()
	g.Ensure(assign(part(2), 1, 0))
	put(t, g.Get(part(0)))
	put(t, g.Get(part(2)))
	if _, err := g.Get(part(1)).Log(); !errors.Is(err, ErrStorage) {
		t.Errorf("a partition that was in the other directory: %v, want ErrStorage", err)
	}
	_ = g.end()
	g = onDirs(t, disk, nil, "/a", "/b")
	for n := range 3 {
		g.Ensure(assign(part(n), 1, 2))
		put(t, g.Get(part(n)))
	}
	if got, want := g.where(), "map[0:/a 1:/b 2:/a]"; got != want {
		t.Errorf("with both: %s, want %s", got, want)
	}
}

// TestFailedDirectoryIsOutOfDate: a partition that was removed and came back while its directory could not be used is not found there again.
func TestFailedDirectoryIsOutOfDate(t *testing.T) {
	for _, again := range []byte{1, 2} { // by the same topic, after a reassignment; or another one of the name
		disk := crashfs.New(1)
		files := faultfs.New(disk)
		g := onDirs(t, files, nil, "/a", "/b")
		for n := range 2 {
			g.Ensure(assign(part(n), 1, 0))
		}
		for range 3 {
			put(t, g.Get(part(1)))
		}
		g.Started()
		rule := files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: func(c faultfs.Call) bool { return strings.HasPrefix(c.Name, "/b/") }, Err: syscall.EIO})
		w := make(outcome, 1)
		if _, err := g.Get(part(1)).Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1, Waiter: w}); err != nil {
			t.Fatal(err)
		}
		_ = w.result(t)
		<-g.disks.all[1].noted
		g.Remove(part(1))
		g.Ensure(assign(part(1), again, 1))
		put(t, g.Get(part(1)))
		after := disk.CrashClone(crashfs.Lose)
		_ = g.end()
		rule.Stop()
		for range 2 {
			g = onDirs(t, after, nil, "/a", "/b")
			g.Ensure(assign(part(1), again, 2))
			if l, err := g.Get(part(1)).Log(); err != nil || l.End() != 1 || g.Get(part(1)).Dir() != "/a" {
				t.Errorf("topic %d: %v, %v in %s, want the log that came last", again, l, err, g.Get(part(1)).Dir())
			}
			_ = g.end()
		}
	}
}

// TestPartitionTwice: two directories of one partition, of which nobody knows which is the right one, are not chosen from.
func TestPartitionTwice(t *testing.T) {
	disk := crashfs.New(1)
	for _, dir := range []string{"/a", "/b"} {
		if err := disk.MkdirAll(dir + "/wal/partitions/t-0"); err != nil {
			t.Fatal(err)
		}
	}
	com := wal.NewCommitter(wal.CommitterOptions{FS: disk})
	defer com.Close()
	_, err := NewSet(Env{Node: 1, FS: disk, Now: time.Now, Log: slog.New(slog.DiscardHandler), Disks: []Disk{{Dir: "/a", Committer: com}, {Dir: "/b", Committer: com}}})
	if !errors.Is(err, errTwice) || !strings.Contains(err.Error(), "t-0 in /a and in /b") {
		t.Errorf("%v", err)
	}
}

// resigns is a Controller that hears of resignations.
type resigns struct {
	mu    sync.Mutex
	heard map[int32]bool
	c     chan struct{}
}

func (r *resigns) AlterISR(_ model.TopicPartition, _ model.TopicID, _ replication.Proposal, _ func(replication.Outcome, replication.State)) {
}

func (r *resigns) Resign(tp model.TopicPartition, _ model.TopicID, _ model.LeaderEpoch, _ replication.Resignation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[tp.Partition] = true
	select {
	case r.c <- struct{}{}:
	default:
	}
}

// TestD3LeadersInFailedDirectoryResign: all partitions of the directory that this broker leads are given up, those whose logs nobody has touched too.
func TestD3LeadersInFailedDirectoryResign(t *testing.T) {
	files := faultfs.New(crashfs.New(1))
	c := &resigns{heard: make(map[int32]bool), c: make(chan struct{}, 1)}
	g := onDirs(t, files, func(e *Env) { e.Controller = c }, "/a", "/b")
	g.Registered(7, func(model.BrokerID) (model.BrokerEpoch, bool) { return 7, true })
	for n := range 6 {
		a := shared(part(n))
		a.State = &image.Partition{Replicas: []model.BrokerID{1, 2}, ISR: []model.BrokerID{1, 2}, Leader: 1, LastKnownLeader: model.NoBroker}
		g.Ensure(a)
		if _, err := g.Get(part(n)).Log(); err != nil {
			t.Fatal(err)
		}
	}
	files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: func(c faultfs.Call) bool { return strings.HasPrefix(c.Name, "/b/wal/partitions/t-3/") }, Err: syscall.EIO})
	g.Get(part(3)).member.Load().assume()
	if _, err := g.Get(part(3)).Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1}); err != nil {
		t.Fatal(err)
	}
	for {
		c.mu.Lock()
		n := len(c.heard)
		c.mu.Unlock()
		if n >= 3 {
			break
		}
		<-c.c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.heard[1] || !c.heard[3] || !c.heard[5] || len(c.heard) != 3 {
		t.Errorf("given up: %v, want 1, 3 and 5", c.heard)
	}
}
