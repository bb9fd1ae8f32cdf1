package runtime

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

func TestAskAndLoadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(1)
		g := openRig(t, disk, 4)
		g.Start(g.image)
		synctest.Wait()
		for i := range 40 {
			g.add(fmt.Sprint("k", i%10)).is(t, model.Offset(i/10+1), nil)
		}
		var before []map[string]model.Offset
		asked := g.Each(func(m *tally, _ time.Time) shard.Result {
			before = append(before, m.content())
			return shard.Result{Sees: model.NoOffset}
		}, func(err error) { t.Error(err) })
		if asked != 4 || len(before) != 4 {
			t.Fatalf("%d were asked, %d answered; want 4", asked, len(before))
		}
		g.close()

		g = g.again(disk)
		defer g.close()
		var after []map[string]model.Offset
		g.Each(func(m *tally, _ time.Time) shard.Result {
			after = append(after, m.content())
			return shard.Result{Sees: model.NoOffset}
		}, func(err error) { t.Error(err) })
		if !reflect.DeepEqual(before, after) {
			t.Errorf("loaded %v, before were %v", after, before)
		}
		if s := g.Stats(); s.Coordinated != 4 || s.Loading != 0 || s.Loads != 4 {
			t.Errorf("the statistics are %+v", s)
		}
		g.add("k3").is(t, 5, nil)
	})
}

func TestWhoIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := openRig(t, crashfs.New(1), 0)
		defer g.close()
		g.read("a").is(t, 0, ErrNoTopic)
		g.Start(g.image)
		g.read("a").is(t, 0, ErrNoTopic)
		below := model.Offset(-1)
		g.faults(0).watermark = &below
		g.change(g.create(1, 1))
		g.read("a").is(t, 0, shard.ErrLoading)
		g.elect(0, false)
		g.read("a").is(t, 0, shard.ErrNotCoordinator)
		g.faults(0).change(func() { g.faults(0).watermark = nil })
		g.elect(0, true)
		synctest.Wait()
		g.add("a").is(t, 1, nil)
		g.Stop()
		g.read("a").is(t, 0, shard.ErrNotCoordinator)
	})
}

// TestRefused: what the log does not accept has not happened.
func TestRefused(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		g.add("a").is(t, 1, nil)
		f.change(func() { f.refuse = func() error { return replica.ErrNotEnoughReplicas } })
		g.add("a").is(t, 0, replica.ErrNotEnoughReplicas)
		f.change(func() { f.refuse = func() error { return replica.ErrNotLeader } })
		g.add("a").is(t, 0, shard.ErrNotCoordinator) // it leads, as far as the replica knows: no controller is in reach
		f.change(func() { f.refuse = nil })
		g.add("a").is(t, 2, nil)
		if g.Stats().Loads != 1 {
			t.Error("it was loaded again")
		}
	})
}

// TestSlowAndDoubtful: nobody is answered before the log has, nor is told more than it says.
func TestSlowAndDoubtful(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		f.change(func() { f.hold = true })
		first, second := g.add("a"), g.add("a")
		first.waits(t)
		g.read("a").is(t, 0, nil)
		f.release()
		first.is(t, 1, nil)
		second.is(t, 2, nil)

		f.change(func() { f.hold = true })
		late := g.add("a")
		time.Sleep(g.limits.Patience)
		late.is(t, 0, shard.ErrTimedOut)
		f.release()
		synctest.Wait()
		g.read("a").is(t, 3, nil)

		f.change(func() { f.verdict = func(error) error { return replica.ErrNotEnoughReplicasAfterAppend } })
		g.add("a").is(t, 0, replica.ErrNotEnoughReplicasAfterAppend)
		g.read("a").is(t, 4, nil)
		f.change(func() { f.verdict = nil })
		g.add("a").is(t, 5, nil)
	})
}

// TestEffects: what a decision wants done is done when its records are safe, and not before (T3).
func TestEffects(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		f.change(func() { f.hold = true })
		p := make(pending, 2)
		g.Ask("a", func(m *tally, _ time.Time) shard.Result {
			r := m.add("a", p.done)
			r.Effects = []shard.Effect{"done"}
			return r
		}, func(err error) { p.done(0, err) })
		if p.waits(t); len(g.effects) > 0 {
			t.Error("an effect was done before its record was safe")
		}
		f.release()
		if p.is(t, 1, nil); len(g.effects) != 1 {
			t.Errorf("%d effects were done, want 1", len(g.effects))
		}
	})
}

// TestLost: when the log has lost what it had accepted, all that was decided on it is unknown, and memory is what the log says.
func TestLost(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		f.change(func() { f.hold, f.verdict = true, func(error) error { return wal.ErrNoSpace } })
		first, second := g.add("a"), g.add("a")
		synctest.Wait()
		f.release()
		first.is(t, 0, shard.ErrNotCoordinator)
		second.is(t, 0, shard.ErrNotCoordinator)
		if m := g.machines[0]; !m.ended {
			t.Error("the machine was not ended")
		}
		f.change(func() { f.verdict = nil })
		synctest.Wait()
		log, err := g.replicas.Get(model.TopicPartition{Topic: topicName}).Log()
		if err != nil {
			t.Fatal(err)
		}
		n := log.End()
		g.read("a").is(t, n, nil)
		g.add("a").is(t, n+1, nil)
		if loads := g.Stats().Loads; loads != 2 {
			t.Errorf("loaded %d times, want 2", loads)
		}
	})
}

// TestParted: somebody else has appended.
func TestParted(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		g.add("a").is(t, 1, nil)
		r := g.replicas.Get(model.TopicPartition{Topic: topicName})
		b := shard.New(shard.Options{Topic: g.o.Topic, Machine: newTally(), MaxBatchBytes: 1 << 20}, 0)
		b.Serve(time.Now(), nil)
		b.Do(time.Now(), func(time.Time) shard.Result { return newTally().add("b", func(model.Offset, error) {}) }, nil)
		other, _ := b.Take()
		if _, err := r.Append(replica.Append{Batch: other.Bytes, Acks: -1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.add("a").is(t, 0, shard.ErrNotCoordinator)
		g.read("b").is(t, 1, nil)
		g.read("a").is(t, 2, nil) // it was appended, but nobody could tell
		if !strings.Contains(g.log.String(), "have parted") {
			t.Errorf("the log does not say so:\n%s", g.log)
		}
	})
}

// TestG3Epochs: what is on its way when the leader epoch ends is not answered as done, and what comes of it is known to the next.
func TestG3Epochs(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		g.add("a").is(t, 1, nil)
		f.change(func() { f.hold = true })
		waiting := g.add("a")
		waiting.waits(t)
		old := g.table.Load().seats[0]
		g.elect(0, true)
		waiting.is(t, 0, shard.ErrNotCoordinator)
		f.release()
		synctest.Wait()
		g.read("a").is(t, 2, nil)

		late := make(pending, 2)
		old.ask(func(m *tally, _ time.Time) shard.Result { return m.add("a", late.done) }, func(err error) { late.done(0, err) }, aClient)
		late.is(t, 0, shard.ErrNotCoordinator)
		g.add("a").is(t, 3, nil)
	})
}

// TestG3AppendOfAnotherEpoch: a seat that has not heard of it cannot append, nor answer from memory, in another epoch; what it decided is not done.
func TestG3AppendOfAnotherEpoch(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		g.add("a").is(t, 1, nil)
		f.change(func() { f.hold = true })
		first, second, decided := g.add("a"), g.add("a"), g.add("a") // two are on their way, the third one waits for them
		decided.waits(t)
		tp := g.image.Topic(topicName)
		d := g.apply(command.Lead(&command.SetPartitionLeader{TopicId: tp.ID[:], ExpectedPartitionEpoch: tp.Partitions[0].PartitionEpoch, Leader: 1, Isr: []int32{1}}))
		g.read("a").is(t, 0, shard.ErrNotCoordinator)
		g.add("a").is(t, 0, shard.ErrNotCoordinator)
		f.release()
		first.is(t, 2, nil)
		second.is(t, 3, nil)
		decided.is(t, 0, shard.ErrNotCoordinator)
		g.read("a").is(t, 0, shard.ErrLoading) // in its epoch, which will not come back
		g.Follow(g.image, d)
		synctest.Wait()
		g.read("a").is(t, 3, nil)
		g.add("a").is(t, 4, nil)
	})
}

// TestG1Fenced: an answer from memory is held back when the broker may not lead any more; one that was appended is not. Nothing new is decided.
func TestG1Fenced(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		f := g.faults(0)
		f.change(func() { f.hold = true })
		written, reads := g.add("a"), g.read("a")
		written.waits(t)
		reads.is(t, 0, nil)
		f.change(func() { f.leads = replica.ErrNotLeader })
		g.read("a").is(t, 0, shard.ErrNotCoordinator)
		g.add("a").is(t, 0, shard.ErrNotCoordinator)
		f.release()
		written.is(t, 1, nil)
		f.change(func() { f.leads = nil })
		g.read("a").is(t, 1, nil)
	})
}

// TestTopicAnew: a topic that was deleted and created again has nothing of the old one (L5).
func TestTopicAnew(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		g.add("a").is(t, 1, nil)
		g.change(command.Delete(g.image.Topic(topicName).ID))
		g.read("a").is(t, 0, ErrNoTopic)
		g.change(g.create(2, 1))
		synctest.Wait()
		g.read("a").is(t, 0, nil)
		g.add("a").is(t, 1, nil)
		id := g.image.Topic(topicName).ID
		g.change(command.Delete(id), g.create(3, 1))
		synctest.Wait()
		g.read("a").is(t, 0, nil)
	})
}

// TestImages: each change since the image of the load, once and in order.
func TestImages(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		g.add("a").is(t, 1, nil)
		held := make(chan struct{})
		g.faults(0).change(func() { g.faults(0).read = func() error { <-held; return nil } })
		g.elect(0, true)
		synctest.Wait()
		value := command.Values(map[string]string{"log.retention.ms": "5"})
		g.change(command.ClusterConfig(value, nil))
		g.change(command.ClusterConfig(nil, []string{"log.retention.ms"}))
		loaded := g.image.Index()
		close(held)
		synctest.Wait()
		var want []uint64
		for range 3 {
			g.change(command.ClusterConfig(value, nil))
			want = append(want, g.image.Index())
		}
		synctest.Wait()
		m := g.newest()
		if m.loaded.Index() != loaded || !reflect.DeepEqual(m.images, want) || m.turned != 3 {
			t.Errorf("loaded with image %d, want %d; then told of %v, want %v; configured %d times", m.loaded.Index(), loaded, m.images, want, m.turned)
		}
	})
}

// TestT3ErrandsAreHeard: nobody says a second time that a marker is written. So the machine hears it also while the broker does not know whether it leads
// still, and clients are sent away; it is refused only by a seat that is over.
func TestT3ErrandsAreHeard(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		g.add("a").is(t, 1, nil)
		from := Source[*tally]{g.table.Load().seats[0]}
		say := func() pending {
			p := make(pending, 2)
			from.Ask(func(*tally, time.Time) shard.Result {
				p.done(7, nil)
				return shard.Result{Sees: model.NoOffset}
			}, func(err error) { p.done(0, err) })
			return p
		}
		f := g.faults(0)
		f.change(func() { f.leads = replica.ErrNotLeader })
		g.add("a").is(t, 0, shard.ErrNotCoordinator)
		say().is(t, 7, nil)
		f.change(func() { f.leads = nil })
		g.elect(0, true)
		say().is(t, 0, shard.ErrNotCoordinator)
	})
}

// TestTimers: a machine's timer fires at its time, and is put off while the wall clock is not trusted if it goes by that (E4).
func TestTimers(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		start := time.Now()
		set := func(wall bool, after time.Duration) {
			g.Ask("a", func(*tally, time.Time) shard.Result {
				return shard.Result{Sees: model.NoOffset, Timers: []shard.TimerChange{{Key: shard.TimerKey{Group: fmt.Sprint(wall)}, At: start.Add(after), Wall: wall}}}
			}, func(err error) { t.Error(err) })
		}
		set(false, time.Hour)
		set(false, time.Minute) // earlier
		set(true, 2*time.Minute)
		g.leapt.Store(true)
		time.Sleep(4 * time.Minute)
		g.leapt.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		var got []time.Duration
		for _, at := range g.newest().rang {
			got = append(got, at.Sub(start))
		}
		if len(got) != 2 || got[0] != time.Minute || got[1] < 4*time.Minute || got[1] > 5*time.Minute {
			t.Errorf("the timers fired after %v", got)
		}
		set(false, time.Hour)
		g.elect(0, false) // a timer that is set for nobody
		time.Sleep(2 * time.Hour)
		if len(g.newest().rang) != 2 {
			t.Error("a timer fired in a machine that has ended")
		}
	})
}

// TestLoadFails: a load that fails is tried again, and half of it never serves (D4).
func TestLoadFails(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		for range 100 {
			g.add("a")
			synctest.Wait()
		}
		g.limits.LoadBytes = 300
		f, reads := g.faults(0), 0
		f.change(func() {
			f.read = func() error {
				if reads++; reads < 10 && reads%3 == 2 {
					return errTest
				}
				return nil
			}
		})
		g.elect(0, true)
		g.read("a").is(t, 0, shard.ErrLoading)
		time.Sleep(time.Minute)
		g.read("a").is(t, 100, nil)
		if !strings.Contains(g.log.String(), errTest.Error()) {
			t.Error("nobody was told why it took so long")
		}
		if reads < 30 {
			t.Errorf("loaded with %d reads: the pieces were larger than was said", reads)
		}
	})
}

// TestLoadIsAbandoned: a load whose epoch ends ends too, wherever it is.
func TestLoadIsAbandoned(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		g.add("a").is(t, 1, nil)
		f, entered, held := g.faults(0), make(chan struct{}), make(chan struct{})
		f.change(func() { f.read = func() error { close(entered); <-held; return errors.New("too late") } })
		g.elect(0, true)
		<-entered
		f.change(func() { f.read = nil })
		g.elect(0, true)
		synctest.Wait()
		g.add("a").is(t, 2, nil)
		close(held)
		g.read("a").is(t, 2, nil)
	})
}

// TestGate: who is asked for loads first.
func TestGate(t *testing.T) {
	inRig(t, 8, func(g *rig) {
		var order []int32
		held := make(chan struct{})
		for n := range int32(8) {
			f := g.faults(n)
			g.add(keyOf(n, 8)).is(t, 1, nil)
			f.change(func() {
				f.read = func() error {
					g.mu.Lock()
					order = append(order, n)
					g.mu.Unlock()
					<-held
					return nil
				}
			})
		}
		for n := range int32(8) {
			g.elect(n, true)
			synctest.Wait()
		}
		g.read(keyOf(6, 8)).is(t, 0, shard.ErrLoading)
		g.elect(3, false)
		for range 7 {
			synctest.Wait()
			held <- struct{}{}
		}
		synctest.Wait()
		if len(order) != 7 || order[2] != 6 {
			t.Errorf("loaded in the order %v, want 0, 1 and then 6; without 3", order)
		}
		if s := g.Stats(); s.Coordinated != 7 || s.Loading != 0 {
			t.Errorf("the statistics are %+v", s)
		}
	})
}
