package runtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// ledger is what clients were told of one name.
type ledger struct {
	mu    sync.Mutex
	acked map[model.Offset]bool
	top   model.Offset
}

// added checks that no two additions come to the same: the second did not know of the first (G1, G3).
func (l *ledger) added(t *testing.T, name string, n, floor model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acked[n] {
		t.Errorf("%s: two additions came to %d: one of them is lost", name, n)
	}
	if n <= floor {
		t.Errorf("%s: an addition came to %d, after another one had been told %d", name, n, floor)
	}
	l.acked[n] = true
	l.top = max(l.top, n)
}

func (l *ledger) floor() model.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.top
}

// one waits for the one answer.
func (p pending) one() answer { return <-p }

// client asks until it has been answered so often, and holds the answers against what all have been told.
func (g *rig) client(seed uint64, times int, names []string, ledgers map[string]*ledger) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range times {
		name := names[rng.IntN(len(names))]
		l := ledgers[name]
		floor := l.floor()
		var p pending
		add := true
		switch rng.IntN(3) {
		case 0:
			p = g.addAndWait(name)
		case 1:
			p = g.add(name)
		default:
			p, add = g.read(name), false
		}
		a := p.one()
		switch {
		case len(p) > 0:
			g.t.Errorf("%s: answered twice", name)
		case a.err == nil && add:
			l.added(g.t, name, a.n, floor)
		case a.err == nil && a.n < floor:
			g.t.Errorf("%s: %d was read after %d had been acknowledged", name, a.n, floor)
		case a.err != nil:
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		}
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
		}
	}
}

// misbehave has the replicas fail at random until the end.
func (g *rig) misbehave(seed uint64, partitions int32, done <-chan struct{}) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for {
		select {
		case <-done:
			return
		default:
		}
		n := rng.Int32N(partitions)
		f := g.faults(n)
		what := []error{nil, replica.ErrNotEnoughReplicas, wal.ErrNoSpace, replica.ErrNotLeader}[rng.IntN(4)]
		switch rng.IntN(6) {
		case 0:
			f.change(func() { f.refuse = func() error { return what } })
		case 1:
			verdict := []error{wal.ErrNoSpace, wal.ErrFenced, replica.ErrNotEnoughReplicasAfterAppend, replica.ErrNotLeader}[rng.IntN(4)]
			f.change(func() { f.verdict = func(error) error { return verdict } })
		case 2:
			f.change(func() { f.hold = true })
		case 3, 4:
			g.elect(n, rng.IntN(4) > 0)
		case 5:
			f.change(func() { f.leads = what })
		}
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
		f.change(func() { f.refuse, f.verdict, f.leads = nil, nil, nil })
		f.release()
		if t := g.image.Topic(topicName); t.Partitions[n].Leader != 1 {
			g.elect(n, true)
		}
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
	}
}

// TestStress: many clients, replicas that fail in every way, and epochs that come and go: every request is answered once, nothing that was
// acknowledged is lost, and what is loaded in the end is what the memory was.
func TestStress(t *testing.T) {
	const partitions, clients, times = 3, 20, 300
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			disk := crashfs.New(seed)
			g := openRig(t, disk, partitions)
			g.Start(g.image)
			names := make([]string, 9)
			ledgers := make(map[string]*ledger)
			for i := range names {
				names[i] = fmt.Sprint("name", i)
				ledgers[names[i]] = &ledger{acked: make(map[model.Offset]bool)}
			}
			var asking sync.WaitGroup
			for i := range uint64(clients) {
				asking.Go(func() { g.client(100*seed+i, times, names, ledgers) })
			}
			done := make(chan struct{})
			var failing sync.WaitGroup
			failing.Go(func() { g.misbehave(seed, partitions, done) })
			asking.Wait()
			close(done)
			failing.Wait()
			synctest.Wait()
			before := g.readAll(names)
			acked := 0
			for name, l := range ledgers {
				acked += len(l.acked)
				if before[name] < l.top {
					t.Errorf("%s is %d, %d was acknowledged", name, before[name], l.top)
				}
			}
			if acked < clients*times/10 || g.Stats().Loads < 10 {
				t.Errorf("%d additions were acknowledged, with %d loads: nothing was tested", acked, g.Stats().Loads)
			}
			g.close()
			g = g.again(disk)
			defer g.close()
			for name, n := range g.readAll(names) {
				if n != before[name] {
					t.Errorf("%s was %d, and is loaded as %d", name, before[name], n)
				}
			}
		})
	}
}

// readAll reads all names.
func (g *rig) readAll(names []string) map[string]model.Offset {
	out := make(map[string]model.Offset)
	for _, name := range names {
		a := g.read(name).one()
		if errors.Is(a.err, shard.ErrLoading) {
			synctest.Wait()
			a = g.read(name).one()
		}
		if a.err != nil {
			g.t.Errorf("reading %s: %v", name, a.err)
		}
		out[name] = a.n
	}
	return out
}
