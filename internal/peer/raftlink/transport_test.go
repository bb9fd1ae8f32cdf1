package raftlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/memnet"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

func replica(node int) quorum.Replica {
	return quorum.Replica{Node: model.BrokerID(node), Directory: image.UUID{15: byte(node)}}
}

func config(node model.BrokerID) link.Config {
	return link.Config{ClusterID: "cluster", Node: node, Auth: link.Auth{Secret: []byte("sixteen bytes at least")}}
}

func host(node model.BrokerID) string    { return fmt.Sprintf("n%d", node) }
func address(node model.BrokerID) string { return host(node) + ":9291" }

// end is a replica that writes down what it gets.
type end struct {
	*Transport
	self   quorum.Replica
	net    *memnet.Network
	stop   func()
	known  atomic.Bool   // where the others are
	gate   chan struct{} // what snapshots wait for; nil: nothing
	broken error         // that snapshots fail with

	mu    sync.Mutex
	got   []*pb.Message
	from  []quorum.Replica
	snaps [][]byte
	lost  []quorum.Replica
	said  map[quorum.Replica]string // where others are, in their own words
}

// addresses are where a replica is for all that is known.
func (e *end) addresses(r quorum.Replica) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.said[r] != "":
		return []string{e.said[r]}
	case e.known.Load():
		return []string{address(r.Node)}
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start brings a replica up. Nobody tells it where the others are unless all is known.
func start(t *testing.T, n *memnet.Network, self quorum.Replica, known bool) *end {
	t.Helper()
	return startAt(t, n, self, address(self.Node), known)
}

// startAt is start at an address that nobody else knows.
func startAt(t *testing.T, n *memnet.Network, self quorum.Replica, at string, known bool) *end {
	t.Helper()
	e := &end{self: self, net: n, said: make(map[quorum.Replica]string)}
	e.known.Store(known)
	e.Transport = New(Options{
		Self: self, Config: config(self.Node), Reach: at, Log: quiet(), Seed: uint64(self.Node),
		Dial:      func(ctx context.Context, to string) (net.Conn, error) { return n.Dial(ctx, host(self.Node), to) },
		Addresses: e.addresses,
		Heard: func(r quorum.Replica, address string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.said[r] = address
		},
	})
	e.Bind(e)
	listener, err := n.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	links := &link.Server{Config: func() link.Config { return config(self.Node) }, Open: e.Open}
	served := make(chan error, 1)
	go func() { served <- links.Serve(ctx, listener) }()
	e.stop = sync.OnceFunc(func() {
		e.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(e.stop)
	return e
}

func (e *end) Unreachable(r quorum.Replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = append(e.lost, r)
}

func (e *end) Receive(from quorum.Replica, m *pb.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, m)
	e.from = append(e.from, from)
}

func (e *end) ReceiveSnapshot(ctx context.Context, from quorum.Replica, m *pb.Message, snapshot io.Reader) error {
	if e.gate != nil {
		select {
		case <-e.gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if e.broken != nil {
		return e.broken
	}
	data, err := io.ReadAll(snapshot)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snaps = append(e.snaps, data)
	e.got = append(e.got, m)
	e.from = append(e.from, from)
	return nil
}

// received is what it got, in a few words, and forgets it.
func (e *end) received() string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for i, m := range e.got {
		out = append(out, fmt.Sprintf("%d:%v%d", e.from[i].Node, m.GetType(), m.GetIndex()))
	}
	e.got, e.from = nil, nil
	return strings.Join(out, " ")
}

// unheard is whom it was told to be unreachable, and forgets it.
func (e *end) unheard() map[quorum.Replica]bool {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[quorum.Replica]bool)
	for _, r := range e.lost {
		out[r] = true
	}
	e.lost = nil
	return out
}

func message(t pb.MessageType, index int, data ...byte) *pb.Message {
	m := &pb.Message{Type: t.Enum(), Index: proto.Uint64(uint64(index))}
	if len(data) > 0 {
		m.Entries = []*pb.Entry{{Data: data}}
	}
	return m
}

func want(t *testing.T, e *end, what string) {
	t.Helper()
	if got := e.received(); got != what {
		t.Errorf("node %d received %q, want %q", e.self.Node, got, what)
	}
}

func TestMessagesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), false)
		a.Send(b.self, message(pb.MsgApp, 1, 'x')) // before there is a link
		a.Send(b.self, message(pb.MsgApp, 2))
		a.Send(b.self, message(pb.MsgHeartbeat, 3))
		want(t, b, "1:MsgHeartbeat3 1:MsgApp1 1:MsgApp2")
		b.Send(a.self, message(pb.MsgAppResp, 4)) // it knows where from what it was told
		want(t, a, "2:MsgAppResp4")
		b.Send(replica(3), message(pb.MsgAppResp, 5))
		if lost := b.unheard(); len(lost) != 1 || !lost[replica(3)] {
			t.Errorf("unreachable: %v", lost)
		}
	})
}

// TestLostLinks: messages to a replica that is gone are lost, and the quorum hears of it; when it is back they arrive again.
func TestLostLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
		a.Send(b.self, message(pb.MsgApp, 1))
		want(t, b, "1:MsgApp1")
		b.stop()
		time.Sleep(time.Second)
		a.Send(b.self, message(pb.MsgApp, 2))
		time.Sleep(time.Second)
		if lost := a.unheard(); !lost[b.self] {
			t.Errorf("unreachable: %v", lost)
		}
		b = start(t, n, replica(2), true)
		time.Sleep(redialMost + 50*time.Millisecond)
		a.Send(b.self, message(pb.MsgApp, 3))
		want(t, b, "1:MsgApp3")
		a.unheard()
		n.Partition("n1", "n2")
		a.Send(b.self, message(pb.MsgApp, 4))
		time.Sleep(10 * time.Second) // longer than an attempt hangs
		if lost := a.unheard(); !lost[b.self] {
			t.Errorf("unreachable: %v", lost)
		}
		want(t, b, "")
	})
}

// TestNeverBlocks: to a replica that takes nothing, what does not fit is lost at once.
func TestNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a := start(t, n, replica(1), true)
		n.Partition("n1", "n2") // the attempt to make a link hangs
		began := time.Now()
		for i := range 2 * maxQueued {
			a.Send(replica(2), message(pb.MsgApp, i))
			a.Send(replica(2), message(pb.MsgHeartbeat, i))
		}
		if time.Since(began) > 0 {
			t.Errorf("sending took %v", time.Since(began))
		}
		if lost := a.unheard(); !lost[replica(2)] {
			t.Error("nobody was told of the loss")
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.Transport.mu.Lock()
		defer a.Transport.mu.Unlock()
		r := a.remotes[replica(2)]
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.queue.rest) != maxQueued || len(r.queue.urgent) != maxUrgent || r.queue.urgent[0].GetIndex() != 2*maxQueued-maxUrgent {
			t.Errorf("%d and %d messages wait", len(r.queue.rest), len(r.queue.urgent))
		}
	})
}

// TestAnotherDirectoryIsSomebodyElse: what is for the replica that a node had before is given to nobody (M1), and who is not reached and not sent to
// is not dialled for ever.
func TestAnotherDirectoryIsSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
		wiped := replica(1)
		wiped.Directory[0] = 9
		b.Send(wiped, message(pb.MsgApp, 4))
		b.Send(a.self, message(pb.MsgApp, 5))
		time.Sleep(time.Second)
		want(t, a, "2:MsgApp5")
		if !b.unheard()[wiped] {
			t.Error("nobody was told of the loss")
		}
		time.Sleep(idleTime + time.Second)
		b.Transport.mu.Lock()
		defer b.Transport.mu.Unlock()
		if b.remotes[wiped] != nil || b.remotes[a.self] == nil {
			t.Errorf("after a minute without a message these are kept: %v", b.remotes)
		}
	})
}

// TestAReplicaComesBackElsewhere: what it says itself counts from the moment at which it says so.
func TestAReplicaComesBackElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
		a.Send(b.self, message(pb.MsgApp, 1))
		want(t, b, "1:MsgApp1")
		b.stop()
		b = startAt(t, n, replica(2), "n2:elsewhere", true)
		b.Send(a.self, message(pb.MsgApp, 2))
		want(t, a, "2:MsgApp2")
		time.Sleep(time.Second)
		a.Send(b.self, message(pb.MsgApp, 3))
		want(t, b, "1:MsgApp3")
		var failure error
		done := make(chan struct{})
		m := message(pb.MsgSnap, 7)
		m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(70)}}
		a.SendSnapshot(b.self, m, strings.NewReader("snapshot"), 8, func(err error) { failure = err; close(done) })
		<-done
		if failure != nil {
			t.Errorf("a snapshot: %v", failure)
		}
	})
}

// TestSnapshots: one of many windows arrives whole, and messages pass it.
func TestSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
		b.gate = make(chan struct{})
		data := make([]byte, 3*window+12345)
		_, _ = rand.NewChaCha8([32]byte{}).Read(data)
		m := message(pb.MsgSnap, 7)
		m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(70)}}
		done := make(chan error, 1)
		a.SendSnapshot(b.self, m, bytes.NewReader(data), int64(len(data)), func(err error) { done <- err })
		synctest.Wait() // a window is on its way, and nobody reads
		var second error
		a.SendSnapshot(b.self, m, bytes.NewReader(data), int64(len(data)), func(err error) { second = err })
		if !errors.Is(second, errSending) {
			t.Errorf("a second one at a time: %v", second)
		}
		a.Send(b.self, message(pb.MsgHeartbeat, 8))
		want(t, b, "1:MsgHeartbeat8")
		time.Sleep(10 * time.Second)
		close(b.gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want(t, b, "1:MsgSnap7")
		if len(b.snaps) != 1 || !bytes.Equal(b.snaps[0], data) {
			t.Errorf("%d snapshots arrived, not what was sent", len(b.snaps))
		}
		b.gate = nil
		a.SendSnapshot(b.self, m, bytes.NewReader(nil), 0, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatalf("an empty one: %v", err)
		}
		want(t, b, "1:MsgSnap7")
	})
}

// TestSnapshotsFail: the quorum hears of each that did not arrive.
func TestSnapshotsFail(t *testing.T) {
	m := message(pb.MsgSnap, 7)
	m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(70)}}
	data := make([]byte, 3*window)
	for name, c := range map[string]struct {
		prepare func(n *memnet.Network, a, b *end)
		during  func(n *memnet.Network, a, b *end)
		size    int64
		want    string
	}{
		"refused":      {prepare: func(_ *memnet.Network, _, b *end) { b.broken = errors.New("no room") }, want: "no room"},
		"no such node": {prepare: func(_ *memnet.Network, _, b *end) { b.stop() }, want: "refused"},
		"cut":          {during: func(n *memnet.Network, _, _ *end) { n.Partition("n1", "n2") }, want: "cut"},
		"never read":   {during: func(*memnet.Network, *end, *end) {}, want: errStalled.Error()},
		"closed":       {during: func(_ *memnet.Network, a, _ *end) { a.Close() }, want: link.ErrClosed.Error()},
		"peer closed":  {during: func(_ *memnet.Network, _, b *end) { b.stop() }, want: link.ErrClosed.Error()},
		"too short":    {size: 4*window + 1, want: "reading the snapshot"},
		"too large":    {size: maxSnapshot + 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New()
			a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
			if c.prepare != nil {
				c.prepare(n, a, b)
			}
			if c.during != nil {
				b.gate = make(chan struct{})
			}
			size := int64(len(data))
			if c.size > 0 {
				size = c.size
			}
			done := make(chan error, 2)
			a.SendSnapshot(b.self, m, bytes.NewReader(data), size, func(err error) { done <- err })
			synctest.Wait()
			if c.during != nil {
				c.during(n, a, b)
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if len(done) > 0 || len(b.snaps) > 0 {
				t.Errorf("%s: done again, or %d snapshots arrived", name, len(b.snaps))
			}
		})
	}
}

// TestUnbound: a replica that is not open yet takes nothing, and is found when it is.
func TestUnbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, b := start(t, n, replica(1), true), start(t, n, replica(2), true)
		b.Bind(nil)
		a.Send(b.self, message(pb.MsgApp, 1))
		time.Sleep(time.Second)
		want(t, b, "")
		b.Bind(b)
		time.Sleep(time.Second)
		a.Send(b.self, message(pb.MsgApp, 2))
		want(t, b, "1:MsgApp2")
	})
}
