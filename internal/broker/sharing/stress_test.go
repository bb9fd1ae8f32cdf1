package sharing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/model"
)

// stress is members that fetch and acknowledge while leaders change, coordinators go away and connections end.
type stress struct {
	*rig
	mu    sync.Mutex
	rng   *rand.Rand
	fates map[place]fate
}

// place is a record.
type place struct {
	partition int32
	offset    model.Offset
}

// fate is what is known of a record.
type fate struct {
	by       string // who has it; nobody: it was released, or its lock has expired
	until    time.Time
	accepted bool // and that was answered without an error
	maybe    bool // the answer was an error: it may be written
}

func (x *stress) rand(n int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rng.IntN(n)
}

// given notes what a member was given in an epoch, not before a time and by now, which must be nobody's.
func (x *stress) given(who string, f Fetched, epoch int32, since time.Time) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range f.Acquired {
		for o := r.First; o <= r.Last; o++ {
			at := place{f.Partition.Partition, o}
			was := x.fates[at]
			if was.accepted {
				x.t.Errorf("record %v is given to %s after it was accepted", at, who)
			}
			if was.by != "" && was.until.After(now) && epoch == x.epoch.Load() {
				x.t.Errorf("record %v is given to %s while %s has it until %v; it is %v", at, who, was.by, was.until, now)
			}
			now := fate{accepted: was.accepted, maybe: was.maybe}
			if epoch == x.epoch.Load() { // else another leader has nobody hold it
				now.by, now.until = who, since.Add(x.config.LockDuration)
			}
			x.fates[at] = now
		}
	}
}

// answered notes what became of an acknowledgement.
func (x *stress) answered(who string, a Acknowledgement, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range a.Batches {
		for o := b.First; o <= b.Last; o++ {
			at := place{a.Partition.Partition, o}
			f := x.fates[at]
			switch accept := b.Types[0] == sharepartition.Accept; {
			case accept && err == nil:
				f.accepted = true
			case accept:
				f.maybe = true
			}
			if x.fates[at] = f; err == nil && f.by == who {
				f.by = ""
				x.fates[at] = f
			}
		}
	}
}

// free notes that a member has nothing any more.
func (x *stress) free(who string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for at, f := range x.fates {
		if who == "" || f.by == who {
			f.by = ""
			x.fates[at] = f
		}
	}
}

// consume is a member's life, until all records are accepted or may be.
func (x *stress) consume(name string, until func() bool) {
	m := x.member(name, 0, 1)
	m.wait, m.query.MaxRecords = 200*time.Millisecond, 7
	var acks []Acknowledgement
	for !until() {
		if x.rand(30) == 0 { // the connection ends
			x.free(name) // before it does, as others may have it at once
			x.Disconnect(m.conn)
			m.epoch, acks = 0, nil
		}
		m.query.RecordLimit = x.rand(2) == 0
		if m.epoch == 0 {
			acks = nil
		}
		for _, a := range acks {
			x.release(name, a)
		}
		epoch, began := x.epoch.Load(), time.Now()
		got, err := m.fetch(acks...)
		if err != nil {
			if !errors.Is(err, sharesession.ErrNotFound) && !errors.Is(err, sharesession.ErrEpoch) {
				x.t.Error(err)
			}
			m.epoch = 0
			continue
		}
		for i, o := range got.Acknowledged {
			x.answered(name, acks[i], o.Err)
		}
		acks = acks[:0]
		for _, f := range got.Fetched {
			x.given(name, f, epoch, began)
			for _, r := range f.Acquired {
				t := []sharepartition.AckType{sharepartition.Accept, sharepartition.Accept, sharepartition.Release, sharepartition.Gap}[x.rand(4)]
				if t == sharepartition.Gap {
					continue // forgotten until its lock expires
				}
				if n := len(acks); n > 0 && acks[n-1].Partition == f.Partition {
					acks[n-1].Batches = append(acks[n-1].Batches, sharepartition.AckBatch{First: r.First, Last: r.Last, Types: []sharepartition.AckType{t}})
				} else {
					acks = append(acks, ack(f.Partition.Partition, r.First, r.Last, t))
				}
			}
		}
		got.Release()
		pass(x.rand(50))
	}
	x.free(name)
	x.Disconnect(m.conn)
}

// release notes that others may have records from now on that a member is about to release.
func (x *stress) release(who string, a Acknowledgement) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range a.Batches {
		for o := b.First; o <= b.Last; o++ {
			if f := x.fates[place{a.Partition.Partition, o}]; f.by == who && b.Types[0] == sharepartition.Release {
				f.by = ""
				x.fates[place{a.Partition.Partition, o}] = f
			}
		}
	}
}

// left is how many of so many records of each partition are not accepted.
func (x *stress) left(records int) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for p := range int32(partitions) {
		for o := range model.Offset(records) {
			if f := x.fates[place{p, o}]; !f.accepted && !f.maybe {
				n++
			}
		}
	}
	return n
}

// TestStress: whatever happens, no record is with two members of one leader, none is given again that was accepted, and all are accepted in the end.
func TestStress(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inRig(t, func(g *rig) {
				x := &stress{rig: g, rng: rand.New(rand.NewPCG(seed, 1)), fates: make(map[place]fate)}
				g.config.LockDuration, g.config.MaxDeliveries, g.config.MaxInFlight = 2*time.Second, 1000, 60
				g.state.delay = func() time.Duration { return time.Duration(x.rand(20)) * time.Millisecond }
				const batches, each = 40, 5
				for range batches {
					g.put(0, each, 10)
					g.put(1, each, 10)
				}
				began := time.Now()
				over := func() bool { return time.Since(began) > 10*time.Minute || x.left(batches*each) == 0 }
				var members sync.WaitGroup
				for _, name := range []string{"a", "b", "c", "d"} {
					members.Go(func() { x.consume(name, over) })
				}
				for epoch := model.LeaderEpoch(2); epoch < 6; epoch++ {
					pass(x.rand(1500))
					g.state.fail(errTest)
					pass(x.rand(1000))
					g.state.fail(nil)
					x.next(epoch)
				}
				members.Wait()
				if n := x.left(batches * each); n > 0 {
					t.Errorf("%d records were not accepted in ten minutes", n)
				}
			})
		})
	}
}

// next is another leader epoch: what members have of the old one is nobody's in it.
func (x *stress) next(epoch model.LeaderEpoch) {
	x.epoch.Store(0) // until it is another one, nothing is known of who has what
	x.free("")
	x.lead(epoch)
}
