package replica

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// setAside is how many logs a broker has set aside.
func (b *broker) setAside() int {
	synctest.Wait()
	entries, _ := b.disk.ReadDir("/data/wal/quarantine")
	more, _ := b.disk.ReadDir("/more/wal/quarantine")
	return len(entries) + len(more)
}

// TestL2WhenADamagedLogIsSetAside: never while an election, a proposal on its way or nobody else counts on it (R3, R4).
func TestL2WhenADamagedLogIsSetAside(t *testing.T) {
	inGroup(t, 1, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		b := g.brokers[2]
		b.Get(t0).foundDamage(fmt.Errorf("here: %w", wal.ErrCorrupt))
		end := model.Offset(1)
		keeps := func(what string) {
			t.Helper()
			settle()
			if n := b.setAside(); n != 0 {
				t.Fatalf("%s: the log was set aside", what)
			}
			if got := b.logEnd(); got != end {
				t.Errorf("%s: the log ends at %d, want %d", what, got, end)
			}
		}
		keeps("in the ISR")
		g.change(func(p *image.Partition) { p.ISR = []model.BrokerID{1, 3} })
		keeps("out of the ISR, in an epoch in which it has acknowledged")
		g.change(func(p *image.Partition) {
			p.ISR, p.ELR, p.LeaderEpoch = []model.BrokerID{1, 3}, []model.BrokerID{2}, p.LeaderEpoch+1
		})
		keeps("in the ELR")
		g.change(func(p *image.Partition) {
			p.ISR, p.ELR, p.Leader, p.LeaderEpoch = []model.BrokerID{1, 3}, nil, model.NoBroker, p.LeaderEpoch+1
		})
		keeps("nobody leads")
		g.change(func(p *image.Partition) {
			p.ISR, p.Leader, p.LeaderEpoch = []model.BrokerID{1, 3}, 1, p.LeaderEpoch+1
		})
		settle()
		if n := b.setAside(); n != 1 {
			t.Fatalf("%d logs were set aside, want 1", n)
		}
		time.Sleep(3 * time.Second)
		g.brokers[1].acked()
		settle()
		g.agree(2)
		if b.Get(t0).damage.Load() != nil {
			t.Error("the new log counts as damaged")
		}
	})
}

// TestL2DamageIsNoDiskFailure: a read that fails is the disk's (D3): nothing is set aside for it. And a removal does not meet a rebuild half-way.
func TestL2DamageIsNoDiskFailure(t *testing.T) {
	inGroup(t, 1, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		b := g.brokers[1]
		r := b.Get(t0)
		for _, err := range []error{syscall.EIO, wal.ErrFenced, wal.ErrTruncated, errors.New("unknown")} {
			if r.storage(err) == nil || r.damage.Load() != nil {
				t.Errorf("%v counts as damage", err)
			}
		}
		follower := g.brokers[2]
		follower.Get(t0).foundDamage(wal.ErrCorrupt)
		settle()
		follower.files.Inject(faultfs.Rule{Ops: faultfs.OpRename, Before: func(faultfs.Call) { time.Sleep(time.Second) }})
		g.change(func(p *image.Partition) { p.ISR, p.LeaderEpoch = []model.BrokerID{1, 3}, p.LeaderEpoch+1 })
		synctest.Wait()
		follower.Remove(t0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, dir := range []string{"/data", "/more"} {
			if entries, _ := follower.disk.ReadDir(dir + "/wal/partitions"); len(entries) != 0 {
				t.Errorf("after the removal there is still %v", entries)
			}
		}
		if n := follower.setAside(); n != 1 {
			t.Errorf("%d logs were set aside, want 1", n)
		}
		_, w, err := b.produce(-1, record.Options{})
		if err != nil || w.result(t) != nil {
			t.Errorf("the others go on: %v", err)
		}
	})
}
