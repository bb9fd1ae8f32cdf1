package sharing

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/coordinator/share"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replica"
)

type ranges = []sharepartition.Range

func (g *rig) want(got, want ranges) {
	g.t.Helper()
	if !slices.Equal(got, want) {
		g.t.Fatalf("acquired %v, want %v", got, want)
	}
}

// TestAcknowledgedOnce: what is accepted is not given again, to nobody, nor by the next leader; what is released is; what is rejected is not.
func TestAcknowledgedOnce(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 10, 10)
		a, b := g.member("a", 0), g.member("b", 0)
		g.want(a.must(), ranges{{First: 0, Last: 9, Deliveries: 1}})
		g.want(b.must(), nil)
		types := make([]sharepartition.AckType, 10)
		for i := range types {
			types[i] = []sharepartition.AckType{sharepartition.Accept, sharepartition.Release, sharepartition.Reject}[i%3]
		}
		g.want(a.must(ack(0, 0, 9, types...)), ranges{{First: 1, Last: 1, Deliveries: 2}, {First: 4, Last: 4, Deliveries: 2}, {First: 7, Last: 7, Deliveries: 2}})
		if err := a.acknowledge(ack(0, 4, 4, sharepartition.Accept)); err != nil {
			t.Fatal(err)
		}
		g.lead(2)
		if got, err := a.fetch(); err != nil || len(got.Fetched) > 0 && got.Fetched[0].Err == nil && len(got.Fetched[0].Acquired) == 0 {
			t.Fatalf("%+v, %v", got, err)
		} else {
			g.want(got.Fetched[0].Acquired, ranges{{First: 1, Last: 1, Deliveries: 2}, {First: 7, Last: 7, Deliveries: 2}})
			got.Release()
		}
	})
}

// TestParkedFetch: a fetch that finds nothing waits, and is woken by records that come, that are released, and whose locks expire.
func TestParkedFetch(t *testing.T) {
	inRig(t, func(g *rig) {
		a, b := g.member("a", 0), g.member("b", 0)
		a.wait, b.wait = time.Hour, time.Hour
		fetch := func(m *member) chan ranges {
			c := make(chan ranges, 1)
			go func() { c <- m.must() }()
			synctest.Wait()
			if len(c) > 0 {
				t.Fatal("answered at once")
			}
			return c
		}
		began := time.Now()
		got := fetch(a)
		g.put(0, 2, 10)
		g.want(<-got, ranges{{First: 0, Last: 1, Deliveries: 1}})
		got = fetch(b)
		if err := a.acknowledge(ack(0, 0, 0, sharepartition.Release)); err != nil {
			t.Fatal(err)
		}
		g.want(<-got, ranges{{First: 0, Last: 0, Deliveries: 2}})
		if time.Since(began) != 0 {
			t.Errorf("it took %v, want no time", time.Since(began))
		}
		g.want(<-fetch(b), ranges{{First: 0, Last: 0, Deliveries: 3}, {First: 1, Last: 1, Deliveries: 2}})
		if time.Since(began) != g.config.LockDuration {
			t.Errorf("it took %v, want the lock's duration", time.Since(began))
		}
		a.wait = 5 * time.Second
		began = time.Now()
		g.want(<-fetch(a), ranges{}[:0])
		if time.Since(began) != 5*time.Second {
			t.Errorf("a fetch in vain took %v, want 5s", time.Since(began))
		}
	})
}

// TestMinBytes: who wants more than there is waits for it, but no longer than it says.
func TestMinBytes(t *testing.T) {
	inRig(t, func(g *rig) {
		a := g.member("a", 0, 1)
		a.query.MinBytes, a.wait = 3000, 10*time.Second
		g.put(0, 1, 1000)
		began := time.Now()
		done := make(chan ranges)
		go func() { done <- a.must() }()
		synctest.Wait()
		g.put(1, 1, 1000)
		time.Sleep(time.Second)
		g.put(1, 1, 1000)
		if got := <-done; len(got) != 2 || time.Since(began) != time.Second {
			t.Errorf("after %v acquired %v", time.Since(began), got)
		}
		g.put(0, 1, 1000)
		g.want(a.must(), ranges{{First: 1, Last: 1, Deliveries: 1}})
		if time.Since(began) != 11*time.Second {
			t.Errorf("it took %v in all", time.Since(began))
		}
	})
}

// TestSessionEnds: whatever ends a session, what the member had acquired is others' at once, and what is kept of the group goes with its last one.
func TestSessionEnds(t *testing.T) {
	inRig(t, func(g *rig) {
		g.config.MaxDeliveries = 10 // none is isolated
		g.put(0, 3, 10)
		a, b := g.member("a", 0), g.member("b", 0)
		b.wait = time.Hour
		g.want(a.must(), ranges{{First: 0, Last: 2, Deliveries: 1}})
		done := make(chan ranges)
		go func() { done <- b.must() }()
		synctest.Wait()
		g.Disconnect(a.conn)
		g.want(<-done, ranges{{First: 0, Last: 2, Deliveries: 2}})
		if _, err := a.fetch(); !errors.Is(err, sharesession.ErrNotFound) {
			t.Errorf("a session without its connection: %v", err)
		}
		a.epoch = 0
		a.must()
		b.leave()
		g.want(a.must(), ranges{{First: 0, Last: 2, Deliveries: 3}})
		if s := g.Stats(); s.Sessions != 1 || s.Partitions != 1 {
			t.Errorf("%+v", s)
		}
		a.leave()
		if s := g.Stats(); s.Sessions != 0 || s.Partitions != 0 {
			t.Errorf("%+v", s)
		}
		g.want(a.must(), ranges{{First: 0, Last: 2, Deliveries: 4}})
		a.leave()
	})
}

// TestSessionEndsMeanwhile: what is acquired for a session that has just ended is given back, and who waits gets it.
func TestSessionEndsMeanwhile(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 3, 10)
		a, b := g.member("a", 0), g.member("b", 0)
		b.must()
		if err := b.acknowledge(ack(0, 0, 2, sharepartition.Release)); err != nil {
			t.Fatal(err)
		}
		q := a.query
		q.Session.Key, q.Session.Connection, q.Deadline = a.key, a.conn, time.Now().Add(time.Hour)
		q.Lead = func(p sharesession.Partition) (Leadership, error) {
			g.Disconnect(a.conn)
			return g.Lead(p)
		}
		if _, err := g.Fetch(context.Background(), q); !errors.Is(err, sharesession.ErrEpoch) {
			t.Fatalf("a fetch whose session ends meanwhile: %v", err)
		}
		b.wait = time.Hour
		began := time.Now()
		g.want(b.must(), ranges{{First: 0, Last: 2, Deliveries: 3}}[:1])
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// TestLargeBatches: answers are filled up with batches of any size.
func TestLargeBatches(t *testing.T) {
	inRig(t, func(g *rig) {
		for range 8 {
			g.put(0, 1, 200<<10)
		}
		g.want(g.member("a", 0).must(), ranges{{First: 0, Last: 4, Deliveries: 1}})
	})
}

// TestUnreadableState: while the state cannot be read members wait; an answer that is final they hear, once.
func TestUnreadableState(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 1, 10)
		g.state.fail(errTest)
		a := g.member("a", 0)
		g.want(a.must(), nil)
		a.wait = time.Hour
		began := time.Now()
		done := make(chan ranges)
		go func() { done <- a.must() }()
		time.Sleep(time.Minute)
		g.state.fail(nil)
		g.want(<-done, ranges{{First: 0, Last: 0, Deliveries: 1}})
		if d := time.Since(began); d > time.Minute+mostPause {
			t.Errorf("it took %v", d)
		}
		a.leave()
		g.state.fail(share.ErrUninitialized)
		got, err := a.fetch()
		if err != nil || len(got.Fetched) != 1 || !errors.Is(got.Fetched[0].Err, share.ErrUninitialized) {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Release()
	})
}

// TestUnwrittenState: an acknowledgement that could not be written is refused, and the member has the records until their locks expire.
func TestUnwrittenState(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 4, 10)
		a := g.member("a", 0)
		a.must()
		g.state.fail(errTest)
		if err := a.acknowledge(ack(0, 0, 1, sharepartition.Accept)); !errors.Is(err, errTest) {
			t.Fatalf("an acknowledgement that was not written: %v", err)
		}
		writes := g.state.writes
		time.Sleep(time.Second)
		if n := g.state.writes - writes; n > 5 {
			t.Errorf("%d writes in a second to a coordinator that is away", n)
		}
		g.state.fail(nil)
		time.Sleep(mostPause)
		if err := a.acknowledge(ack(0, 0, 1, sharepartition.Accept)); err != nil {
			t.Fatal(err)
		}
		g.state.fail(share.ErrFencedLeaderEpoch)
		if err := a.acknowledge(ack(0, 2, 2, sharepartition.Accept)); !errors.Is(err, share.ErrFencedLeaderEpoch) {
			t.Fatalf("an acknowledgement to a leader that is fenced: %v", err)
		}
		if s := g.Stats(); s.Partitions != 0 {
			t.Errorf("a share partition of a leader that is fenced is kept: %+v", s)
		}
	})
}

// TestWritesGather: acknowledgements that come while a write is on its way share the next one.
func TestWritesGather(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 100, 10)
		a := g.member("a", 0)
		a.must()
		synctest.Wait()
		writes := g.state.writes
		g.state.held = make(chan func(), 10)
		var w []acknowledging
		for i := range model.Offset(100) {
			w = append(w, g.begin(a.key, []Acknowledgement{ack(0, i, i, sharepartition.Accept)}))
		}
		(<-g.state.held)()
		(<-g.state.held)()
		g.state.held = nil
		for i := range w {
			if out, err := w[i].wait(context.Background()); err != nil || out[0].Err != nil {
				t.Fatal(out, err)
			}
		}
		if n := g.state.writes - writes; n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
	})
}

// TestEpochEnds: who waits for a partition that is led in another epoch hears it, and so does who acknowledges what the old epoch has given.
func TestEpochEnds(t *testing.T) {
	inRig(t, func(g *rig) {
		g.put(0, 1, 10)
		a, b := g.member("a", 0), g.member("b", 0)
		a.must()
		b.wait = time.Hour
		done := make(chan error)
		go func() {
			got, err := b.fetch()
			if err == nil {
				err = got.Fetched[0].Err
				got.Release()
			}
			done <- err
		}()
		synctest.Wait()
		g.lead(2)
		if err := <-done; !errors.Is(err, replica.ErrNotLeader) && !errors.Is(err, replica.ErrFencedEpoch) { // whoever tells first
			t.Errorf("who waited was told %v", err)
		}
		if err := a.acknowledge(ack(0, 0, 0, sharepartition.Accept)); !errors.Is(err, share.ErrUnknownPartition) {
			t.Errorf("an acknowledgement of what the old epoch has given: %v", err)
		}
		g.want(b.must(), ranges{{First: 0, Last: 0, Deliveries: 1}}) // the delivery by the old leader was not written
	})
}

// TestRecordLimit: no more records than were asked for, over what is read at a time and over partitions.
func TestRecordLimit(t *testing.T) {
	inRig(t, func(g *rig) {
		for range 6 {
			g.put(0, 10, 6000)
			g.put(1, 10, 6000)
		}
		a := g.member("a", 0, 1)
		a.query.RecordLimit, a.query.MaxRecords = true, 75
		count := func(got ranges) (n int) {
			for _, r := range got {
				n += int(r.Last-r.First) + 1
			}
			return n
		}
		if n := count(a.must()); n != 75 {
			t.Errorf("%d records, want 75", n)
		}
		if n := count(a.must()); n != 45 {
			t.Errorf("%d records, want the 45 that are left", n)
		}
		b := g.member("b", 0, 1)
		b.query.MaxBytes = 1
		g.put(0, 10, 6000)
		g.put(0, 10, 6000)
		if n := count(b.must()); n != 10 {
			t.Errorf("%d records, want one batch", n)
		}
	})
}

// TestMemory: answers that have not left hold memory, whoever finds none waits for it; a batch larger than an answer may be comes alone.
func TestMemory(t *testing.T) {
	inRigWith(t, 4<<20, func(g *rig) {
		for range 4 {
			g.put(0, 1, 2<<20)
		}
		a, b := g.member("a", 0), g.member("b", 0)
		first, err := a.fetch()
		if err != nil || len(first.Fetched[0].Acquired) != 1 {
			t.Fatalf("%+v, %v", first, err)
		}
		g.want(b.must(), nil)
		b.wait = time.Hour
		done := make(chan ranges)
		go func() { done <- b.must() }()
		time.Sleep(10 * time.Second)
		first.Release()
		g.want(<-done, ranges{{First: 1, Last: 1, Deliveries: 1}})
	})
	inRigWith(t, 1<<20, func(g *rig) {
		g.put(0, 1, 2<<20)
		g.want(g.member("a", 0).must(), ranges{{First: 0, Last: 0, Deliveries: 1}})
	})
}

// TestLogStart: records that retention has taken are passed over.
func TestLogStart(t *testing.T) {
	inRig(t, func(g *rig) {
		for range 5 {
			g.put(0, 2, 10)
		}
		a := g.member("a", 0)
		a.query.MaxRecords = 2
		g.want(a.must(), ranges{{First: 0, Last: 1, Deliveries: 1}})
		if _, err := g.replica(0).DeleteBefore(5); err != nil {
			t.Fatal(err)
		}
		g.want(a.must(), ranges{{First: 5, Last: 7, Deliveries: 1}})
		a.query.MaxRecords = 100
		g.want(a.must(), ranges{{First: 8, Last: 9, Deliveries: 1}})
	})
}

// TestCommitted: a group that reads committed records gets neither those of aborted transactions nor of open ones.
func TestCommitted(t *testing.T) {
	inRig(t, func(g *rig) {
		g.config.Committed = true
		txn := func(id model.ProducerID, seq int32) {
			b := record.NewBuilder(record.Options{Producer: &record.Producer{ID: id, Epoch: 0, Sequence: seq}, Transactional: true})
			b.Add(time.Now().UnixMilli(), nil, []byte("x"))
			batch, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			g.append(0, batch)
		}
		end := func(id model.ProducerID, how record.ControlType) {
			w := make(waiter, 1)
			if err := g.replica(0).AppendMarker(record.Marker{Type: how, Producer: id, TimestampMs: time.Now().UnixMilli()}, false, w); err != nil {
				t.Fatal(err)
			}
			if err := <-w; err != nil {
				t.Fatal(err)
			}
		}
		txn(1, 0)
		txn(2, 0)
		end(1, record.Abort)
		end(2, record.Commit)
		txn(1, 1)
		a := g.member("a", 0)
		g.want(a.must(), ranges{{First: 1, Last: 1, Deliveries: 1}})
		g.want(a.must(), nil)
		end(1, record.Commit)
		g.want(a.must(), ranges{{First: 4, Last: 4, Deliveries: 1}})
		g.config.Committed = false
	})
}

// TestRefusals: of sessions, and of what no session makes better.
func TestRefusals(t *testing.T) {
	inRig(t, func(g *rig) {
		a := g.member("a", 0, 5)
		got, err := a.fetch()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got.Fetched {
			if (f.Partition.Partition == 5) != errors.Is(f.Err, errTest) {
				t.Errorf("partition %d: %v", f.Partition.Partition, f.Err)
			}
		}
		got.Release()
		if err := a.acknowledge(ack(1, 0, 0, sharepartition.Accept)); !errors.Is(err, share.ErrUnknownPartition) {
			t.Errorf("of a partition that nobody has fetched: %v", err)
		}
		if err := a.acknowledge(Acknowledgement{Partition: part(0), Err: errTest}); !errors.Is(err, errTest) {
			t.Errorf("what was refused before: %v", err)
		}
		if err := a.acknowledge(ack(0, 3, 3, sharepartition.Accept)); !errors.Is(err, sharepartition.ErrInvalidRequest) {
			t.Errorf("of a record that was never acquired: %v", err)
		}
		began := time.Now()
		for i := range 20 {
			m := g.member(string(rune('b'+i)), 0)
			if _, err = m.fetch(); err != nil {
				break
			}
		}
		if !errors.Is(err, sharesession.ErrLimit) || time.Since(began) == 0 {
			t.Errorf("one session more than may be, after %v: %v", time.Since(began), err)
		}
		g.Stop()
		if _, err := a.fetch(); err != nil {
			t.Error(err)
		}
	})
}
