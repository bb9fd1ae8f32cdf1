package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// wires connects replicas. Messages are copied, as on a real wire.
type wires struct {
	t    *testing.T
	mu   sync.Mutex
	ends map[uint64]*Raft
	cut  map[model.BrokerID]bool
	sent map[pb.MessageType]int
}

func newWires(t *testing.T) *wires {
	return &wires{t: t, ends: make(map[uint64]*Raft), cut: make(map[model.BrokerID]bool), sent: make(map[pb.MessageType]int)}
}

// plug is one node's end of the wires.
type plug struct {
	w    *wires
	self Replica
}

func (p plug) to(r Replica, m *pb.Message) (*Raft, *pb.Message) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.sent[m.GetType()]++
	if p.w.cut[p.self.Node] || p.w.cut[r.Node] {
		return nil, nil
	}
	data, err := proto.Marshal(m)
	if err != nil {
		p.w.t.Error(err)
	}
	copied := new(pb.Message)
	if err := proto.Unmarshal(data, copied); err != nil {
		p.w.t.Error(err)
	}
	return p.w.ends[r.id()], copied
}

// Send implements Transport.
func (p plug) Send(to Replica, m *pb.Message) {
	if r, m := p.to(to, m); r != nil {
		r.Receive(p.self, m)
	}
}

// SendSnapshot implements Transport.
func (p plug) SendSnapshot(to Replica, m *pb.Message, snapshot io.Reader, _ int64, done func(error)) {
	r, m := p.to(to, m)
	if r == nil {
		done(errors.New("the wire is cut"))
		return
	}
	go func() { done(r.ReceiveSnapshot(context.Background(), p.self, m, snapshot)) }()
}

func (w *wires) isolate(n model.BrokerID, cut bool) {
	w.mu.Lock()
	w.cut[n] = cut
	w.mu.Unlock()
}

// box is one node: its disk, and its replica while it runs.
type box struct {
	*Raft
	w    *wires
	fs   vfs.FS
	self Replica
	com  *wal.Committer
}

func (w *wires) box(n int, f vfs.FS) *box {
	if f == nil {
		f = crashfs.New(uint64(n))
	}
	if err := f.MkdirAll(path.Dir(metaDir)); err != nil {
		w.t.Fatal(err)
	}
	return &box{w: w, fs: f, self: Replica{Node: model.BrokerID(n), Directory: image.UUID{15: byte(n)}}}
}

func (b *box) open(found bool) *box {
	b.w.t.Helper()
	b.com = wal.NewCommitter(wal.CommitterOptions{FS: b.fs, Workers: 1, OpenFiles: 4})
	r, err := OpenRaft(RaftOptions{Transport: plug{b.w, b.self}, KeepEntries: 5, DiskOptions: DiskOptions{Self: b.self, Found: found,
		Options: Options{FS: b.fs, Dir: metaDir, ClusterID: "c", Committer: b.com, SnapshotEvery: 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}})
	if err != nil {
		b.w.t.Fatal(err)
	}
	b.Raft = r
	b.w.mu.Lock()
	b.w.ends[b.self.id()] = r
	b.w.mu.Unlock()
	return b
}

func (b *box) close() {
	b.w.t.Helper()
	if b.Raft == nil {
		return
	}
	b.w.mu.Lock()
	delete(b.w.ends, b.self.id())
	b.w.mu.Unlock()
	if err := b.Close(); err != nil {
		b.w.t.Error(err)
	}
	b.com.Close()
	b.Raft = nil
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// three starts a cluster of three voters in a bubble of virtual time.
func three(t *testing.T, test func(t *testing.T, w *wires, nodes []*box)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		nodes := []*box{w.box(1, nil).open(true), w.box(2, nil).open(false), w.box(3, nil).open(false)}
		w.admit(nodes[0], nodes[1:]...)
		test(t, w, nodes)
		for _, n := range nodes {
			n.close()
		}
	})
}

func (w *wires) admit(leader *box, others ...*box) {
	w.t.Helper()
	w.leader(leader)
	for _, o := range others {
		if err := leader.Admit(w.t.Context(), o.self); err != nil {
			w.t.Fatal(err)
		}
	}
}

// leader waits until one of the nodes is the active controller.
func (w *wires) leader(nodes ...*box) *box {
	w.t.Helper()
	for range 200 {
		for _, n := range nodes {
			if n.Raft == nil {
				continue
			}
			if _, _, _, active := n.Leader(); active {
				return n
			}
		}
		time.Sleep(TickInterval) // virtual
		synctest.Wait()
	}
	w.t.Fatal("nobody leads")
	return nil
}

func (b *box) set(value string) error {
	_, err := b.Propose(b.w.t.Context(), change(value))
	return err
}

// agree waits until all nodes have an index, and compares their images.
func (w *wires) agree(nodes ...*box) {
	w.t.Helper()
	var images []*image.Image
	for _, n := range nodes {
		im, err := n.Linearizable(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		images = append(images, im)
	}
	index := images[0].Index()
	for _, im := range images {
		index = max(index, im.Index())
	}
	for i, n := range nodes {
		im, err := n.Images().Wait(w.t.Context(), index)
		if err != nil {
			w.t.Fatal(err)
		}
		images[i] = im
	}
	for _, im := range images[1:] {
		if im.Index() == images[0].Index() {
			same(w.t, images[0], im)
		}
	}
}

func TestRaftDecidesOnTheControllerOnly(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		if err := nodes[0].set("a"); err != nil {
			t.Fatal(err)
		}
		w.agree(nodes...)
		for _, n := range nodes[1:] {
			if got := n.Images().Load().ClusterConfigs()["k"]; got != "a" {
				t.Errorf("node %d has %q", n.self.Node, got)
			}
			var e *NotControllerError
			if err := n.set("b"); !errors.As(err, &e) || e.Leader != 1 || !errors.Is(err, ErrNotController) {
				t.Errorf("node %d: %v, want a refusal that names node 1", n.self.Node, err)
			}
		}
		refusal := errors.New("no")
		if _, err := nodes[0].Propose(t.Context(), func(*image.Image) ([]*command.Command, error) { return nil, refusal }); err != refusal {
			t.Errorf("%v, want the decision's own error", err)
		}
		if err := nodes[0].TransferTo(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if l := w.leader(nodes...); l != nodes[2] {
			t.Errorf("node %d leads, want 3", l.self.Node)
		}
	})
}

// TestRaftBatches: decisions that wait together share entries, and each sees what those before it lead to.
func TestRaftBatches(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		const n = 300
		before := nodes[0].Images().Load().Index()
		var done sync.WaitGroup
		for range n {
			done.Go(func() {
				_, err := nodes[0].Propose(t.Context(), func(im *image.Image) ([]*command.Command, error) {
					had := 0
					_, _ = fmt.Sscan(im.ClusterConfigs()["k"], &had)
					return change(fmt.Sprint(had + 1))(im)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		im := nodes[0].Images().Load()
		if got := im.ClusterConfigs()["k"]; got != fmt.Sprint(n) {
			t.Errorf("%d increments led to %s", n, got)
		}
		if entries := im.Index() - before; entries > n/4 {
			t.Errorf("%d decisions took %d entries", n, entries)
		}
		w.agree(nodes...)
	})
}

// TestRaftSurvivesItsLeader: another one leads within 1.5 s, what was acknowledged is there, and the old one catches up, by a
// snapshot if need be.
func TestRaftSurvivesItsLeader(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		if err := nodes[0].set("before"); err != nil {
			t.Fatal(err)
		}
		nodes[0].close()
		gone := time.Now()
		l := w.leader(nodes...)
		if d := time.Since(gone); d > 1500*time.Millisecond {
			t.Errorf("without a leader for %v", d)
		}
		if got := l.Images().Load().ClusterConfigs()["k"]; got != "before" {
			t.Errorf("the new leader has %q", got)
		}
		for i := range 60 {
			if err := l.set(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		nodes[0].open(false)
		w.agree(nodes...)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.sent[pb.MsgSnap] == 0 {
			t.Error("no snapshot was sent")
		}
	})
}

// TestRaftTellsThatItDoesNotKnow: a leader that is cut off answers neither success nor failure (D4), and the change takes
// effect or does not, as one.
func TestRaftTellsThatItDoesNotKnow(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		w.isolate(1, true)
		since := time.Now()
		if err := nodes[0].set("lost?"); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
		if d := time.Since(since); d > 1500*time.Millisecond {
			t.Errorf("it took %v to notice", d)
		}
		if err := nodes[0].set("x"); !errors.Is(err, ErrNotController) {
			t.Errorf("%v, want ErrNotController", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := nodes[0].Linearizable(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a linearizable read of a node that is cut off: %v", err)
		}
		l := w.leader(nodes[1:]...)
		if err := l.set("kept"); err != nil {
			t.Fatal(err)
		}
		w.isolate(1, false)
		w.agree(nodes...)
		if got := nodes[0].Images().Load().ClusterConfigs()["k"]; got != "kept" {
			t.Errorf("the old leader has %q", got)
		}
	})
}

// TestRaftUnreachable: a replica that messages were lost to is sent more only once it answers.
func TestRaftUnreachable(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		state := func() (s tracker.StateType) {
			err := nodes[0].do(t.Context(), func() {
				nodes[0].member.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
					if id == nodes[2].self.id() {
						s = p.State
					}
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if err := nodes[0].set("a"); err != nil {
			t.Fatal(err)
		}
		if s := state(); s != tracker.StateReplicate {
			t.Errorf("before: %v", s)
		}
		w.isolate(3, true)
		nodes[0].Unreachable(nodes[2].self)
		nodes[0].Unreachable(Replica{Node: 9})
		if s := state(); s != tracker.StateProbe {
			t.Errorf("after messages were lost: %v", s)
		}
		w.isolate(3, false)
		time.Sleep(time.Second)
		if s := state(); s != tracker.StateReplicate {
			t.Errorf("when it answers again: %v", s)
		}
	})
}

// TestRaftStopsWithItsDisk: after a failed sync nothing advances (D3, M3), and the others go on.
func TestRaftStopsWithItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		disk := faultfs.New(crashfs.New(1))
		nodes := []*box{w.box(1, disk).open(true), w.box(2, nil).open(false), w.box(3, nil).open(false)}
		w.admit(nodes[0], nodes[1:]...)
		fault := disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Err: syscall.EIO})
		if err := nodes[0].set("a"); !errors.Is(err, ErrStopped) && !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v, want ErrStopped", err)
		}
		<-nodes[0].Done()
		if err := nodes[0].Err(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Err: %v", err)
		}
		fault.Stop()
		if err := w.leader(nodes[1:]...).set("b"); err != nil {
			t.Error(err)
		}
		for _, n := range nodes {
			n.close()
		}
	})
}

// TestRaftFullDisk: a full disk refuses changes and stops nothing; with space they go on (E3).
func TestRaftFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		disk := faultfs.New(crashfs.New(1))
		n := w.box(1, disk).open(true)
		w.leader(n)
		disk.LimitSpace(0, syscall.ENOSPC)
		var err error
		for range 20 { // the reserve lets some through
			if err = n.set(strings.Repeat("x", reserveBytes/2)); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
		if err := n.set("small"); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%v, want ErrNoSpace", err)
		}
		disk.UnlimitSpace()
		time.Sleep(2 * retryNoSpace) // virtual
		synctest.Wait()
		if err := n.set("again"); err != nil {
			t.Error(err)
		}
		n.close()
	})
}

// TestRaftSlowDisk: a leader whose disk stands still for 30 s stays leader while nothing waits, and no election comes of it; when
// a decision waits, it hands over (R8).
func TestRaftSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		disk := faultfs.New(crashfs.New(1))
		nodes := []*box{w.box(1, disk).open(true), w.box(2, nil).open(false), w.box(3, nil).open(false)}
		w.admit(nodes[0], nodes[1:]...)
		_, _, term, _ := nodes[0].Leader()
		slow := disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Before: func(faultfs.Call) { time.Sleep(30 * time.Second) }}) // virtual
		time.Sleep(30 * time.Second)
		if _, _, now, active := nodes[0].Leader(); now != term || !active {
			t.Errorf("the term went from %d to %d, active: %v", term, now, active)
		}
		started := time.Now()
		if err := nodes[0].set("a"); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
		l := w.leader(nodes[1:]...)
		if err := l.set("b"); err != nil {
			t.Error(err)
		}
		if d := time.Since(started); d > 4*time.Second {
			t.Errorf("decisions waited %v", d)
		}
		_, _, now, _ := l.Leader()
		if now != term+1 {
			t.Errorf("%d elections", now-term)
		}
		slow.Stop()
		w.agree(nodes...)
		for _, n := range nodes {
			n.close()
		}
	})
}
