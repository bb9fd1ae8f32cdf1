package replication

import (
	"errors"
	"slices"
	"testing"
	"time"

	"chronik/internal/model"
)

// bench is a leader, broker 0, under test, with the hands of its shell.
type bench struct {
	*Leader
	t     *testing.T
	now   time.Time
	log   *toyLog
	subs  map[model.BrokerID]Subscription
	state State
}

// setup says in what a bench begins; the zero values are three replicas, all in sync, epoch 5, an empty log.
type setup struct {
	replicas, isr []model.BrokerID
	minISR        int
	lagEntries    int64
	log           []model.LeaderEpoch // of the entries
	start, synced model.Offset
	watermark     model.Offset
	fenced        model.BrokerID // 0: none
}

const benchEpoch model.LeaderEpoch = 5

func begin(t *testing.T, s setup) *bench {
	t.Helper()
	if s.replicas == nil {
		s.replicas = []model.BrokerID{0, 1, 2}
	}
	if s.isr == nil {
		s.isr = s.replicas
	}
	b := &bench{t: t, now: time.Unix(1000, 0), log: &toyLog{start: s.start, synced: s.synced, led: benchEpoch}, subs: map[model.BrokerID]Subscription{}}
	for i, e := range s.log {
		b.log.entries = append(b.log.entries, entry{e, uint32(i)})
	}
	b.state = State{Leader: 0, LeaderEpoch: benchEpoch, PartitionEpoch: 7, Replicas: s.replicas, ISR: s.isr}
	b.Leader = NewLeader(LeaderOptions{
		Broker: 0, BrokerEpoch: 100, State: b.state, Own: b.log.own(), Watermark: s.watermark, History: b.log,
		Config: Config{MinISR: max(s.minISR, 1), LagTime: lagTime, LagEntries: s.lagEntries, Retry: retry},
		Live: func(id model.BrokerID) (model.BrokerEpoch, bool) {
			return model.BrokerEpoch(100 + id), id != s.fenced || id == 0
		},
		Now: b.now,
	})
	return b
}

// epochs is a log's epochs, n times e for each pair.
func epochs(pairs ...int) []model.LeaderEpoch {
	var out []model.LeaderEpoch
	for i := 0; i < len(pairs); i += 2 {
		for range pairs[i] {
			out = append(out, model.LeaderEpoch(pairs[i+1]))
		}
	}
	return out
}

// write appends n entries and syncs up to synced.
func (b *bench) write(n int, synced model.Offset) {
	for range n {
		b.log.entries = append(b.log.entries, entry{benchEpoch, 0})
	}
	b.log.synced = synced
	b.OwnMoved(b.log.own(), b.now)
}

// subscribe is a follower that agrees with the leader up to end, of which synced.
func (b *bench) subscribe(id model.BrokerID, end, synced model.Offset) {
	b.t.Helper()
	m := b.question(id, end, synced, model.NoEpoch)
	if end > b.log.start {
		m.LastEpoch = b.log.at(end - 1).epoch
	}
	if a, ok := b.Subscribe(m, b.now).(Accepted); !ok {
		b.t.Fatalf("broker %d subscribes at %d: %+v", id, end, a)
	}
}

func (b *bench) question(id model.BrokerID, end, synced model.Offset, last model.LeaderEpoch) Subscribe {
	b.subs[id]++
	return Subscribe{Subscription: b.subs[id], LeaderEpoch: benchEpoch, Broker: id, BrokerEpoch: model.BrokerEpoch(100 + id),
		Own: Own{Start: 0, End: end, Synced: synced}, LastEpoch: last, Credit: 1000}
}

func (b *bench) ack(id model.BrokerID, end, synced model.Offset) bool {
	return b.Ack(id, Ack{Subscription: b.subs[id], LeaderEpoch: benchEpoch, BrokerEpoch: model.BrokerEpoch(100 + id), Own: Own{End: end, Synced: synced}}, b.now)
}

// pass lets time pass in ticks.
func (b *bench) pass(d time.Duration) {
	for d > 0 {
		step := min(d, lagTime/4)
		b.now, d = b.now.Add(step), d-step
		b.Tick(b.now)
	}
}

// commit is the metadata's word that the ISR is another one.
func (b *bench) commit(isr ...model.BrokerID) {
	b.state.PartitionEpoch++
	b.state.ISR = isr
	b.PartitionChanged(b.state, b.now)
}

func (b *bench) wantWatermark(want model.Offset) {
	b.t.Helper()
	if got := b.HighWatermark(); got != want {
		b.t.Errorf("the watermark is %d, want %d", got, want)
	}
}

// wantProposal takes a proposal of exactly that ISR; without members, none.
func (b *bench) wantProposal(isr ...model.BrokerID) *Proposal {
	b.t.Helper()
	p := b.Take().Proposal
	var got []model.BrokerID
	if p != nil {
		if p.LeaderEpoch != benchEpoch || p.PartitionEpoch != b.state.PartitionEpoch {
			b.t.Errorf("proposal at epochs %d, %d, want %d, %d", p.LeaderEpoch, p.PartitionEpoch, benchEpoch, b.state.PartitionEpoch)
		}
		for _, m := range p.ISR {
			got = append(got, m.Broker)
			if m.Epoch != model.BrokerEpoch(100+m.Broker) {
				b.t.Errorf("broker %d is proposed at epoch %d", m.Broker, m.Epoch)
			}
		}
	}
	if !slices.Equal(got, isr) {
		b.t.Errorf("proposed is %v, want %v", got, isr)
	}
	return p
}

func (b *bench) wantAppend(acks int16, want error) {
	b.t.Helper()
	err := b.MayAppend(acks)
	var few *NotEnoughReplicasError
	if wantFew := new(NotEnoughReplicasError); errors.As(want, &wantFew) {
		if !errors.As(err, &few) || *few != *wantFew {
			b.t.Errorf("MayAppend(%d) = %v, want %v", acks, err, want)
		}
	} else if !errors.Is(err, want) {
		b.t.Errorf("MayAppend(%d) = %v, want %v", acks, err, want)
	}
}

// TestD1WatermarkIsTheSmallestDurableEnd: of all members, the leader's own included, and only of what is synced.
func TestD1WatermarkIsTheSmallestDurableEnd(t *testing.T) {
	b := begin(t, setup{})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(10, 4)
	b.wantWatermark(0)
	b.ack(1, 10, 8)
	b.ack(2, 10, 0)
	b.wantWatermark(0) // broker 2 has it, but not on disk
	b.ack(2, 10, 6)
	b.wantWatermark(4) // the leader's own sync is the slowest
	if !b.Take().Moved {
		t.Error("nobody is told that the watermark moved")
	}
	b.write(0, 10)
	b.wantWatermark(6)
	b.ack(2, 10, 3) // an old acknowledgement comes late
	b.wantWatermark(6)
	b.ack(1, 10, 10)
	b.ack(2, 10, 10)
	b.wantWatermark(10)
}

// TestD1WatermarkStandsBelowMinISR, whatever the acks: elections from eligible replicas rely on it.
func TestD1WatermarkStandsBelowMinISR(t *testing.T) {
	b := begin(t, setup{minISR: 2, isr: []model.BrokerID{0}})
	b.write(5, 5)
	b.wantWatermark(0)
	b.wantAppend(1, nil)
	b.subscribe(1, 5, 5)
	b.wantProposal(0, 1)
	b.wantWatermark(0) // proposed is not committed
	b.commit(0, 1)
	b.wantWatermark(5)
	b.LinkLost(1, b.subs[1])
	b.commit(0)
	b.write(1, 6)
	b.wantWatermark(5)
	b.Configure(Config{MinISR: 1, LagTime: lagTime, Retry: retry}, b.now)
	b.wantWatermark(6)
}

// TestD1NotBeforeAllHaveAcknowledgedInTheEpoch: what a member had in an older epoch says nothing now.
func TestD1NotBeforeAllHaveAcknowledgedInTheEpoch(t *testing.T) {
	b := begin(t, setup{log: epochs(10, 4), synced: 10, watermark: 3})
	b.wantWatermark(3)
	b.subscribe(1, 10, 10)
	b.wantWatermark(3)
	b.subscribe(2, 8, 7)
	b.wantWatermark(7)
}

// TestD2EnoughReplicas when appending and when answering.
func TestD2EnoughReplicas(t *testing.T) {
	b := begin(t, setup{minISR: 2})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(2, 2)
	b.wantAppend(-1, nil)
	b.ack(1, 2, 2)
	b.ack(2, 2, 1)
	for off, want := range []bool{true, false} {
		if done, err := b.Acknowledge(model.Offset(off)); done != want || err != nil {
			t.Errorf("Acknowledge(%d) = %v, %v, want %v", off, done, err, want)
		}
	}
	b.commit(0)
	b.wantAppend(-1, &NotEnoughReplicasError{InSync: 1, Need: 2})
	b.wantAppend(1, nil)
	b.wantAppend(0, nil)
	done, err := b.Acknowledge(0)
	var few *NotEnoughReplicasError
	if done || !errors.As(err, &few) || *few != (NotEnoughReplicasError{InSync: 1, Need: 2, Appended: true}) {
		t.Errorf("Acknowledge(0) = %v, %v, want not enough replicas after the append", done, err)
	}
	if done, err := b.Acknowledge(1); done || err != nil {
		t.Errorf("Acknowledge(1) = %v, %v, want to wait on", done, err)
	}
}

// TestD5LosingLeadership ends appends and waits.
func TestD5LosingLeadership(t *testing.T) {
	for name, to := range map[string]State{
		"another leader":             {Leader: 1, LeaderEpoch: 6, PartitionEpoch: 8},
		"the same one, a new epoch":  {Leader: 0, LeaderEpoch: 6, PartitionEpoch: 8},
		"no leader":                  {Leader: model.NoBroker, LeaderEpoch: 6, PartitionEpoch: 8},
		"another one, no new epoch?": {Leader: 1, LeaderEpoch: 5, PartitionEpoch: 8},
	} {
		b := begin(t, setup{isr: []model.BrokerID{0}})
		b.write(3, 2)
		to.Replicas, to.ISR = b.state.Replicas, b.state.Replicas
		b.PartitionChanged(to, b.now)
		b.wantAppend(-1, ErrNotLeading)
		b.wantAppend(0, ErrNotLeading)
		for _, off := range []model.Offset{1, 2} {
			if done, err := b.Acknowledge(off); done || !errors.Is(err, ErrNotLeading) {
				t.Errorf("%s: Acknowledge(%d) = %v, %v", name, off, done, err)
			}
		}
		b.write(0, 3)
		b.wantWatermark(2)
		if a := b.Subscribe(b.question(1, 0, 0, model.NoEpoch), b.now); a.(Refused).Reason != NotLeading {
			t.Errorf("%s: a follower is answered %+v", name, a)
		}
	}
}

// TestR1StaleStateChangesNothing: metadata may be told twice, or late.
func TestR1StaleStateChangesNothing(t *testing.T) {
	b := begin(t, setup{})
	old := b.state
	b.commit(0, 1)
	b.PartitionChanged(old, b.now)
	if !slices.Equal(b.InSync(), []model.BrokerID{0, 1}) {
		t.Errorf("an old state came back: %v", b.InSync())
	}
	b.PartitionChanged(State{Leader: 2, LeaderEpoch: 4, PartitionEpoch: 99, ISR: []model.BrokerID{2}}, b.now)
	b.wantAppend(1, nil)
}

// TestR5Settled: the watermark means something to clients from the epoch's start on, and never falls.
func TestR5Settled(t *testing.T) {
	b := begin(t, setup{log: epochs(10, 4), synced: 8, watermark: 12})
	b.wantWatermark(10) // what this broker knows, as far as its log goes
	if !b.Settled() {
		t.Error("not settled at the epoch's start")
	}
	b = begin(t, setup{log: epochs(10, 4), synced: 8, watermark: 6, isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 9, 9)
	b.wantWatermark(8)
	if b.Settled() {
		t.Error("settled at 8 of 10")
	}
	b.write(1, 11)
	b.ack(1, 10, 10)
	b.wantWatermark(10)
	if !b.Settled() {
		t.Error("not settled at the epoch's start")
	}
	b = begin(t, setup{start: 4, log: epochs(3, 4), synced: 7})
	b.wantWatermark(4) // what is deleted was committed
}

// TestR6LostController: nothing is promised, until it is back.
func TestR6LostController(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0}})
	b.write(1, 1)
	b.SessionChanged(false)
	b.wantAppend(-1, ErrNoController)
	b.wantAppend(1, nil)
	if done, err := b.Acknowledge(0); done || err != nil {
		t.Errorf("Acknowledge = %v, %v without a controller, want to wait", done, err)
	}
	b.Take()
	b.SessionChanged(true)
	if done, err := b.Acknowledge(0); !done || err != nil || !b.Take().Moved {
		t.Errorf("Acknowledge = %v, %v with the controller back, want an answer, and the waiters woken", done, err)
	}
}

// TestLowWatermark is what live replicas have deleted; the dead hold nothing up.
func TestLowWatermark(t *testing.T) {
	b := begin(t, setup{start: 5, log: epochs(10, 4), synced: 15, watermark: 15, fenced: 2})
	if got := b.LowWatermark(); got != 0 {
		t.Errorf("low watermark %d before broker 1 said anything, want 0", got)
	}
	b.subscribe(1, 15, 15)
	b.Ack(1, Ack{Subscription: 1, LeaderEpoch: benchEpoch, BrokerEpoch: 101, Own: Own{Start: 3, End: 15, Synced: 15}}, b.now)
	if got := b.LowWatermark(); got != 3 {
		t.Errorf("low watermark %d, want broker 1's 3", got)
	}
}
