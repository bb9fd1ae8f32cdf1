package replica

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// fail makes calls on a broker's segments fail.
func (b *broker) fail(ops faultfs.Op, times int, err error) {
	b.files.Inject(faultfs.Rule{Ops: ops, Match: faultfs.Base("segment_*"), Times: times, Err: err})
}

// TestD3LeaderFails: a leader whose disk fails tells those who wait, and has another one elected.
func TestD3LeaderFails(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[1].fail(faultfs.OpSync, 0, syscall.EIO)
		_, w, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.result(t); err == nil {
			t.Error("a batch that the leader could not sync was acknowledged")
		}
		settle()
		if g.state.Leader != 2 {
			t.Fatalf("the leader is %d, want 2", g.state.Leader)
		}
		time.Sleep(4 * time.Second)
		g.brokers[2].acked()
		if isr := g.isr(); !slices.Equal(isr, []model.BrokerID{2, 3}) {
			t.Errorf("the ISR is %v, want 2 and 3", isr)
		}
	})
}

// TestR8LeaderStalls: a leader whose disk stands still hands over. Whoever waits there is told so; nothing is lost.
func TestR8LeaderStalls(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[1].files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Before: func(faultfs.Call) { time.Sleep(30 * time.Second) }})
		_, w, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := w.result(t); !errors.Is(err, ErrNotLeader) || time.Since(start) > 4*time.Second {
			t.Errorf("after %v the batch was told %v, want ErrNotLeader", time.Since(start), err)
		}
		settle()
		g.brokers[2].acked() // the old leader is still in the ISR, and its disk stands still: this waits until it has left that
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if isr := g.isr(); len(isr) != 3 {
			t.Errorf("the ISR is %v, want all", isr)
		}
		g.agree(3)
	})
}

// TestE3LeaderRunsOutOfSpace: an append that is undone after followers have it ends the epoch (R2), and is told so. All agree afterwards.
func TestE3LeaderRunsOutOfSpace(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[1].files.Inject(faultfs.Rule{Ops: faultfs.OpWrite, Match: faultfs.Base("segment_*"), Times: 1, Err: syscall.ENOSPC,
			Before: func(faultfs.Call) { time.Sleep(20 * time.Millisecond) }}) // the followers are sent it meanwhile
		_, w, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.result(t); !errors.Is(err, wal.ErrNoSpace) {
			t.Errorf("the batch that was undone was told %v, want ErrNoSpace", err)
		}
		settle()
		if g.state.Leader != 2 {
			t.Fatalf("the leader is %d, want another one than 1, whose log lost what others have", g.state.Leader)
		}
		g.brokers[2].acked()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		g.agree(3)
	})
}

// TestE3FollowerRunsOutOfSpace: what a follower could not write is sent again, without a hole.
func TestE3FollowerRunsOutOfSpace(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[3].files.Inject(faultfs.Rule{Ops: faultfs.OpWrite, Match: faultfs.Base("segment_*"), Times: 2, Err: syscall.ENOSPC,
			Before: func(faultfs.Call) { time.Sleep(20 * time.Millisecond) }})
		for range 30 {
			if _, _, err := g.brokers[1].produce(1, record.Options{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		g.brokers[1].acked()
		settle()
		g.agree(32)
	})
}

// TestR5NotSettled: a new leader that has not heard of the ISR does not know the watermark, and says so (KIP-207).
func TestR5NotSettled(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[3].isolate(true)
		_, _, err := g.brokers[1].produce(1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.brokers[2].isolate(true)
		g.elect(2)
		synctest.Wait()
		r := g.brokers[2].Get(t0)
		if _, err := r.Find(TimestampLatest, false, model.NoEpoch); !errors.Is(err, ErrOffsetNotAvailable) {
			t.Errorf("the latest offset: %v, want ErrOffsetNotAvailable", err)
		}
		res, err := r.Read(ReadRequest{From: 2, MaxBytes: 1 << 20, LeaderEpoch: model.NoEpoch, LastEpoch: model.NoEpoch})
		if err != nil || res.Records != nil {
			t.Errorf("reading between the watermark and the end: %v, want nothing", err)
		}
		g.brokers[2].isolate(false)
		g.brokers[3].isolate(false)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if at, err := r.Find(TimestampLatest, false, model.NoEpoch); err != nil || at.Offset != 2 {
			t.Errorf("the latest offset is %d, want 2: %v", at.Offset, err)
		}
		g.agree(2)
	})
}

// TestR6SessionLost: without the controller nothing is acknowledged for the replicas.
func TestR6SessionLost(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		b := g.brokers[1]
		b.acked()
		b.SessionChanged(false)
		if _, _, err := b.produce(-1, record.Options{}); !errors.Is(err, ErrNotLeader) {
			t.Errorf("acks=-1 without a session: %v, want ErrNotLeader", err)
		}
		if _, w, err := b.produce(1, record.Options{}); err != nil || w.result(t) != nil {
			t.Errorf("acks=1 without a session: %v", err)
		}
		b.SessionChanged(true)
		b.acked()
	})
}

// TestR5UncertainLeader: who may not lead any more does not tell a consumer that has read from the next leader that its offset is out of range.
func TestR5UncertainLeader(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		b := g.brokers[1]
		b.acked()
		r := b.Get(t0)
		ahead := ReadRequest{From: 1000, LeaderEpoch: model.NoEpoch, LastEpoch: model.NoEpoch, MaxBytes: 1 << 20}
		alive := true
		b.env.Session = func() bool { return alive }
		if _, err := r.Read(ahead); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("a leader: %v, want ErrOffsetOutOfRange", err)
		}
		alive = false
		if _, err := r.Read(ahead); !errors.Is(err, ErrNotLeader) {
			t.Errorf("without a session: %v, want ErrNotLeader", err)
		}
		if _, err := r.Find(TimestampLatest, false, model.NoEpoch); !errors.Is(err, ErrOffsetNotAvailable) {
			t.Errorf("the end of the log without a session: %v, want ErrOffsetNotAvailable", err)
		}
		alive = true
		lead := r.lead.Load()
		lead.member.resigned.Store(int32(lead.epoch))
		if _, err := r.Read(ahead); !errors.Is(err, ErrNotLeader) {
			t.Errorf("a leader that wants to be none: %v, want ErrNotLeader", err)
		}
	})
}

// TestColdCatchUp: a follower that lacks more than is in memory gets it from the log, and one with an empty disk all of it.
func TestColdCatchUp(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[3].crash(crashfs.Lose)
		g.fence(3)
		for range 200 {
			g.brokers[1].acked()
		}
		g.brokers[3].disk = crashfs.New(33)
		g.brokers[3].start()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if isr := g.isr(); len(isr) != 3 {
			t.Errorf("the ISR is %v, want all", isr)
		}
		g.agree(200)
		for _, b := range g.all() {
			if n := b.tails.used.Load(); n != 0 {
				t.Errorf("broker %d keeps %d bytes in memory that everybody has", b.id, n)
			}
		}
	})
}

// TestRestartAtTheLeadersStart: a follower all of whose log the leader has deleted begins anew where the leader's begins.
func TestRestartAtTheLeadersStart(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		for range 5 {
			g.brokers[1].acked()
		}
		g.brokers[3].crash(crashfs.Lose)
		g.fence(3)
		for range 5 {
			g.brokers[1].acked()
		}
		if low, err := g.brokers[1].Get(t0).DeleteBefore(8); err != nil || low != 8 {
			t.Fatalf("deleting: %d, %v", low, err)
		}
		settle()
		if l, err := g.brokers[2].Get(t0).Log(); err != nil || l.Start() != 8 {
			t.Errorf("the log start of a follower that streams is %d, want 8", l.Start())
		}
		g.brokers[3].start()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		g.agree(10)
		if l, err := g.brokers[3].Get(t0).Log(); err != nil || l.Start() != 8 {
			t.Errorf("the log start of the follower that came back is %d, want 8", l.Start())
		}
	})
}

// TestR1NoRoleBeforeRegistration: a broker that the metadata does not know yet in this incarnation neither leads nor follows, whatever they say.
func TestR1NoRoleBeforeRegistration(t *testing.T) {
	g := open(t, crashfs.New(1))
	a := assign(t0, 1, 5)
	a.State = &image.Partition{Replicas: []model.BrokerID{1, 2}, ISR: []model.BrokerID{1}, Leader: 1, LeaderEpoch: 5}
	g.Ensure(a)
	r := g.Get(t0)
	if _, err := r.Log(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now)}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("before the registration: %v, want ErrNotLeader", err)
	}
	g.Registered(7, func(model.BrokerID) (model.BrokerEpoch, bool) { return 7, true })
	put(t, r)
	if hw := r.HighWatermark(); hw != 1 {
		t.Errorf("with an ISR of one the watermark is %d, want 1", hw)
	}
}

func segmentOf(t *testing.T, fs *crashfs.FS) string {
	t.Helper()
	entries, err := fs.ReadDir("/data/wal/partitions/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name) > 8 && e.Name[:8] == "segment_" {
			return e.Name
		}
	}
	t.Fatal("there is no segment")
	return ""
}

// TestR2FencedLeaderRefuses: a leader whose log failed, and that nobody can take over from, has no follower's log compared with its own.
func TestR2FencedLeaderRefuses(t *testing.T) {
	inGroup(t, 1, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.fence(2)
		g.fence(3)
		settle()
		g.brokers[1].fail(faultfs.OpSync, 0, syscall.EIO)
		_, w, err := g.brokers[1].produce(1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.result(t); err == nil {
			t.Error("a batch that could not be synced was acknowledged")
		}
		settle()
		m := g.brokers[1].Get(t0).member.Load()
		m.mu.Lock()
		leads, epoch := m.leader != nil, m.epoch
		m.mu.Unlock()
		if !leads {
			t.Fatal("somebody else leads")
		}
		answer := m.Subscribe(replication.Subscribe{
			TopicID: model.TopicID{1}, Subscription: 1 << 40, LeaderEpoch: epoch, Broker: 3, BrokerEpoch: g.epochs[3],
			Own: replication.Own{End: 1, Synced: 1}, LastEpoch: epoch,
		}, nil)
		if r, ok := answer.(replication.Refused); !ok || r.Reason != replication.NotLeading {
			t.Errorf("a subscription is answered with %+v, want NotLeading", answer)
		}
	})
}

// TestD3CutAndGrownAgain: a follower whose log is cut for a new leader, and grows to just where it was, acknowledges that to the new
// leader too: what it told the old one does not count.
func TestD3CutAndGrownAgain(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[2].isolate(true)
		if _, _, err := g.brokers[1].produce(1, record.Options{}); err != nil { // only broker 3 gets it
			t.Fatal(err)
		}
		settle()
		if end := g.brokers[3].logEnd(); end != 2 {
			t.Fatalf("the log of broker 3 ends at %d, want 2", end)
		}
		g.brokers[1].isolate(true)
		g.net.Heal(g.brokers[2].host(), g.brokers[3].host())
		g.elect(2)
		settle()
		if end := g.brokers[3].logEnd(); end != 1 {
			t.Fatalf("the log of broker 3 ends at %d, want it cut to 1", end)
		}
		g.brokers[2].acked() // once broker 1 has left the ISR
		if isr := g.isr(); !slices.Equal(isr, []model.BrokerID{2, 3}) {
			t.Errorf("the ISR is %v, want 2 and 3", isr)
		}
	})
}
