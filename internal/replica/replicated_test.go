package replica

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// produce appends a batch of one record at a broker. What becomes of it is sent to the outcome, unless the broker has died.
func (b *broker) produce(acks int16, opts record.Options) (model.Offset, outcome, error) {
	b.g.t.Helper()
	w := make(outcome, 1)
	p := b.process
	at, err := b.Get(t0).Append(Append{Batch: batch(b.g.t, opts, time.Now().UnixMilli()), Acks: acks, Waiter: alive{p, w}})
	return at.BaseOffset, w, err
}

// alive forwards what a broker says while it has power.
type alive struct {
	p *process
	w outcome
}

func (a alive) Done(err error) {
	if !a.p.dead.Load() {
		a.w <- err
	}
}

// put appends a batch as it is with acks=-1 and waits.
func (b *broker) put(batch record.Batch) {
	b.g.t.Helper()
	w := make(outcome, 1)
	_, err := b.Get(t0).Append(Append{Batch: batch, Acks: -1, Waiter: alive{b.process, w}})
	if err == nil {
		err = w.result(b.g.t)
	}
	if err != nil {
		b.g.t.Fatalf("producing to broker %d: %v", b.id, err)
	}
}

// built is a batch of so many records of so many bytes.
func built(t testing.TB, records, size int) record.Batch {
	t.Helper()
	w := record.NewBuilder(record.Options{})
	for i := range records {
		w.Add(now+int64(i), nil, make([]byte, size))
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// acked appends with acks=-1 and waits.
func (b *broker) acked() model.Offset {
	b.g.t.Helper()
	at, w, err := b.produce(-1, record.Options{})
	if err == nil {
		err = w.result(b.g.t)
	}
	if err != nil {
		b.g.t.Fatalf("producing to broker %d: %v", b.id, err)
	}
	return at
}

// told is what a waiter heard by now; pending: nothing.
func (o outcome) told() error {
	select {
	case err := <-o:
		return err
	default:
		return errPending
	}
}

var errPending = errors.New("still waiting")

// logEnd is where a broker's log ends, durably.
func (b *broker) logEnd() model.Offset {
	l, err := b.Get(t0).Log()
	if err != nil {
		b.g.t.Fatal(err)
	}
	return l.DurableEnd()
}

// content is what a broker serves, as bytes.
func (b *broker) content() []byte {
	b.g.t.Helper()
	l, err := b.Get(t0).Log()
	if err != nil {
		b.g.t.Fatal(err)
	}
	var all []byte
	for at := l.Start(); at < l.DurableEnd(); {
		r, err := l.Read(at, l.DurableEnd(), 1<<20, true)
		if err != nil {
			b.g.t.Fatal(err)
		}
		all, err = r.ReadAll(all)
		if err != nil {
			b.g.t.Fatal(err)
		}
		at = r.Next()
		r.Release()
	}
	return all
}

// agree checks that all logs are equal, and end at one offset.
func (g *group) agree(end model.Offset) {
	g.t.Helper()
	want := g.brokers[1].content()
	for _, b := range g.all() {
		if got := b.logEnd(); got != end {
			g.t.Errorf("the log of broker %d ends at %d, want %d", b.id, got, end)
		}
		if !slices.Equal(b.content(), want) {
			g.t.Errorf("the log of broker %d differs from that of broker 1", b.id)
		}
		if hw := b.Get(t0).HighWatermark(); hw != end {
			g.t.Errorf("the watermark of broker %d is %d, want %d", b.id, hw, end)
		}
	}
}

func (g *group) isr() []model.BrokerID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.state.ISR)
}

// settle lets everything that does not wait for time happen, and then a little time pass.
func settle() {
	synctest.Wait()
	time.Sleep(300 * time.Millisecond)
	synctest.Wait()
}

// TestReplication: what is acknowledged with acks=-1 is on every disk, equal, and readable everywhere.
func TestReplication(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		for range 20 {
			g.brokers[1].acked()
		}
		settle()
		g.agree(20)
		for _, b := range g.all() {
			res, err := b.Get(t0).Read(ReadRequest{From: 3, MaxBytes: 1 << 20, LeaderEpoch: model.NoEpoch, LastEpoch: model.NoEpoch, Follower: true})
			if err != nil || res.Records.Next() != 20 {
				t.Errorf("reading at broker %d: %v", b.id, err)
				continue
			}
			res.Records.Release()
		}
	})
}

// TestD2EverySyncCounts: acks=1 needs the leader's sync, acks=-1 that of the slowest member.
func TestD2EverySyncCounts(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		slow := func(id model.BrokerID, by time.Duration) {
			g.brokers[id].files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Before: func(faultfs.Call) { time.Sleep(by) }})
		}
		slow(1, 30*time.Millisecond)
		slow(3, 90*time.Millisecond)
		start := time.Now()
		_, one, err := g.brokers[1].produce(1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, all, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := one.result(t); err != nil || time.Since(start) != 30*time.Millisecond {
			t.Errorf("acks=1 after %v: %v; want 30 ms", time.Since(start), err)
		}
		if err := all.result(t); err != nil || time.Since(start) < 90*time.Millisecond || time.Since(start) > 130*time.Millisecond {
			t.Errorf("acks=-1 after %v: %v; want 90 ms", time.Since(start), err)
		}
	})
}

// TestISRShrinksAndExpands: a follower that is gone holds acks=-1 up for the lag time, leaves the ISR, and comes back by itself.
func TestISRShrinksAndExpands(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[3].isolate(true)
		start := time.Now()
		g.brokers[1].acked()
		if took := time.Since(start); took < 1500*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("acks=-1 was held up for %v, want the lag time of 2 s", took)
		}
		if isr := g.isr(); !slices.Equal(isr, []model.BrokerID{1, 2}) {
			t.Errorf("the ISR is %v, want 1 and 2", isr)
		}
		start = time.Now()
		g.brokers[1].acked()
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("with the smaller ISR acks=-1 took %v", took)
		}
		g.brokers[3].isolate(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if isr := g.isr(); !slices.Equal(isr, []model.BrokerID{1, 2, 3}) {
			t.Errorf("the ISR is %v, want all", isr)
		}
		g.agree(3)
	})
}

// TestNotEnoughReplicas: below min.insync.replicas acks=-1 is refused, and what was appended before is told so (D2); acks=1 goes on,
// the watermark does not (D1).
func TestNotEnoughReplicas(t *testing.T) {
	inGroup(t, 3, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[3].isolate(true)
		_, w, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if err := w.told(); !errors.Is(err, errPending) {
			t.Errorf("below min.insync.replicas the batch was told %v", err)
		}
		if _, _, err := g.brokers[1].produce(-1, record.Options{}); !errors.Is(err, ErrNotEnoughReplicas) {
			t.Errorf("appending: %v, want ErrNotEnoughReplicas", err)
		}
		_, one, err := g.brokers[1].produce(1, record.Options{})
		if err != nil || one.result(t) != nil {
			t.Errorf("acks=1: %v", err)
		}
		if hw := g.brokers[1].Get(t0).HighWatermark(); hw != 1 {
			t.Errorf("the watermark is %d, want 1", hw)
		}
		g.brokers[3].isolate(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if err := w.told(); err != nil {
			t.Errorf("when all were back the batch was told %v", err)
		}
		g.agree(3)
	})
}

// TestFailover: the leader loses power with records that nobody else has; another one leads, the old one cuts them off and follows. Whoever
// waited there was told nothing or the truth; nothing that was acknowledged is lost (D2, R2).
func TestFailover(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		for range 5 {
			g.brokers[1].acked()
		}
		g.brokers[1].isolate(true)
		_, one, err := g.brokers[1].produce(1, record.Options{})
		if err != nil || one.result(t) != nil {
			t.Fatalf("acks=1 at the isolated leader: %v", err)
		}
		_, all, err := g.brokers[1].produce(-1, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.brokers[1].crash(crashfs.Keep)
		g.fence(1)
		synctest.Wait()
		if err := all.told(); !errors.Is(err, errPending) {
			t.Errorf("the isolated leader told acks=-1 %v", err)
		}
		for range 3 {
			g.brokers[2].acked()
		}
		g.brokers[1].start()
		if end := g.brokers[1].logEnd(); end != 7 && end != 5 {
			t.Logf("after the restart the log ends at %d", end)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if isr := g.isr(); len(isr) != 3 {
			t.Errorf("the ISR is %v, want all", isr)
		}
		g.agree(8)
	})
}

// TestD5LossOfLeadership: whoever waits when the leadership goes is told so before the log is cut, and who asks learns who leads (KIP-951).
func TestD5LossOfLeadership(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		g.brokers[1].acked()
		g.brokers[2].isolate(true)
		g.brokers[3].isolate(true)
		var waiting []outcome
		for range 10 {
			_, w, err := g.brokers[1].produce(-1, record.Options{})
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, w)
		}
		synctest.Wait()
		g.net.Heal("b2", "b3")
		g.elect(2)
		synctest.Wait()
		for i, w := range waiting {
			err := w.told()
			var hint *LeaderError
			if !errors.Is(err, ErrNotLeader) || !errors.As(err, &hint) || hint.Leader != 2 || hint.Epoch != 2 {
				t.Errorf("waiter %d was told %v, want that broker 2 leads in epoch 2", i, err)
			}
		}
		if _, _, err := g.brokers[1].produce(1, record.Options{}); !errors.Is(err, ErrNotLeader) {
			t.Errorf("appending: %v, want ErrNotLeader", err)
		}
		g.brokers[1].isolate(false)
		settle()
		g.brokers[2].acked()
		time.Sleep(8 * time.Second) // a dial into a network that is cut waits for 5
		synctest.Wait()
		g.agree(2)
	})
}

// TestT1DuplicateAcrossFailover: a retry at the new leader finds the original, and is answered once that is committed.
func TestT1DuplicateAcrossFailover(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		producer := func(seq int32) record.Options {
			return record.Options{Producer: &record.Producer{ID: 7, Epoch: 0, Sequence: seq}}
		}
		at, w, err := g.brokers[1].produce(-1, producer(0))
		if err != nil || w.result(t) != nil {
			t.Fatal(err)
		}
		g.fence(1)
		settle()
		again, w, err := g.brokers[2].produce(-1, producer(0))
		if err != nil || w.result(t) != nil || again != at {
			t.Errorf("the retry stands at %d, the original at %d: %v", again, at, err)
		}
		if next, w, err := g.brokers[2].produce(-1, producer(1)); err != nil || w.result(t) != nil || next != at+1 {
			t.Errorf("the next one stands at %d: %v", next, err)
		}
		// A retry whose original is appended and not committed waits with it.
		g.brokers[3].isolate(true)
		_, first, err := g.brokers[2].produce(-1, producer(2))
		if err != nil {
			t.Fatal(err)
		}
		_, retry, err := g.brokers[2].produce(-1, producer(2))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a, b := first.told(), retry.told(); !errors.Is(a, errPending) || !errors.Is(b, errPending) {
			t.Errorf("before the watermark: %v and %v", a, b)
		}
		g.brokers[3].isolate(false)
		if a, b := first.result(t), retry.result(t); a != nil || b != nil {
			t.Errorf("behind the watermark: %v and %v", a, b)
		}
	})
}
