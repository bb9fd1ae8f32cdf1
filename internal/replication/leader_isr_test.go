package replication

import (
	"testing"
	"time"

	"chronik/internal/model"
)

// TestR3Join: synced to the watermark and to the epoch's start, at this epoch, alive.
func TestR3Join(t *testing.T) {
	for _, c := range []struct {
		name        string
		end, synced model.Offset
		fenced      model.BrokerID
		want        []model.BrokerID
	}{
		{"all", 10, 10, 0, []model.BrokerID{0, 1, 2}},
		{"at the watermark, below the epoch's start", 8, 8, 0, nil},
		{"at the epoch's start, not synced", 10, 9, 0, nil},
		{"fenced", 10, 10, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := begin(t, setup{log: epochs(10, 4), synced: 10, watermark: 6, isr: []model.BrokerID{0, 1}, fenced: c.fenced})
			b.subscribe(2, c.end, c.synced)
			b.wantProposal(c.want...)
		})
	}
}

// TestR3JoinAboveTheEpochsStart: then the watermark counts, and one that would be out at once does not come in.
func TestR3JoinAboveTheEpochsStart(t *testing.T) {
	b := begin(t, setup{log: epochs(10, 4), synced: 10, watermark: 10, isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 10, 10)
	b.write(10, 20)
	b.ack(1, 20, 18)
	b.wantWatermark(18)
	b.subscribe(2, 12, 12)
	b.wantProposal()
	b.ack(2, 18, 18)
	b.wantProposal() // it has never been even with the leader
	b.ack(2, 20, 20)
	b.wantProposal(0, 1, 2)
}

// TestR3WiderSetWhileInFlight: from before the request leaves until the metadata has moved on.
func TestR3WiderSetWhileInFlight(t *testing.T) {
	b := begin(t, setup{log: epochs(10, 4), synced: 10, watermark: 10, isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 10, 10)
	b.subscribe(2, 10, 10)
	p := b.wantProposal(0, 1, 2)
	b.write(5, 15)
	b.ack(1, 15, 15)
	b.wantWatermark(10) // broker 2 may be a member by now
	b.ProposalAnswered(p.Number, Unanswered, State{}, b.now)
	b.pass(time.Second)
	again := b.wantProposal(0, 1, 2)
	b.ack(2, 13, 13)
	b.wantWatermark(13)
	b.ProposalAnswered(again.Number, Declined, State{}, b.now)
	b.wantWatermark(13) // the first may still be on its way
	b.commit(0, 1)      // something else was committed: it is shut out now
	b.wantWatermark(15)
}

// TestR3ShrinkCountsWhenCommitted: the old members count until then.
func TestR3ShrinkCountsWhenCommitted(t *testing.T) {
	b := begin(t, setup{minISR: 2})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(5, 5)
	b.pass(time.Second)
	b.ack(1, 5, 5)
	b.pass(lagTime - time.Second)
	b.wantProposal()
	b.pass(lagTime / 4)
	p := b.wantProposal(0, 1)
	b.wantWatermark(0)
	s := b.state
	s.PartitionEpoch, s.ISR = s.PartitionEpoch+1, []model.BrokerID{0, 1}
	b.ProposalAnswered(p.Number, Committed, s, b.now)
	b.wantWatermark(5)
	b.state = s
	b.ack(2, 5, 5) // and back
	b.pass(retry)
	b.wantProposal(0, 1, 2)
}

// TestR3ShutOut: a member that died between proposal and commit holds the watermark; proposing the present ISR frees it.
func TestR3ShutOut(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	p := b.wantProposal(0, 1, 2)
	b.BrokersChanged(func(id model.BrokerID) (model.BrokerEpoch, bool) { return model.BrokerEpoch(100 + id), id != 2 }, b.now)
	b.ProposalAnswered(p.Number, Declined, State{}, b.now)
	b.write(1, 1)
	b.ack(1, 1, 1)
	b.wantWatermark(0)
	b.pass(retry)
	b.wantProposal(0, 1)
	b.wantWatermark(0)
	b.commit(0, 1)
	b.wantWatermark(1)
	b.pass(time.Second)
	b.wantProposal()
}

// TestR3OneProposalAtATime, and after an answer not at once.
func TestR3OneProposalAtATime(t *testing.T) {
	b := begin(t, setup{replicas: []model.BrokerID{0, 1, 2, 3}, isr: []model.BrokerID{0}})
	b.subscribe(1, 0, 0)
	p := b.wantProposal(0, 1)
	b.subscribe(2, 0, 0)
	b.wantProposal()
	b.ProposalAnswered(p.Number, Declined, State{}, b.now)
	b.subscribe(3, 0, 0)
	b.wantProposal()
	b.pass(retry)
	p = b.wantProposal(0, 1, 2, 3)
	b.ProposalAnswered(p.Number-1, Declined, State{}, b.now) // to the one before
	b.pass(time.Second)
	b.wantProposal()
}

// TestR3AnotherIncarnation has to say anew where it is.
func TestR3AnotherIncarnation(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 0, 0)
	b.write(4, 4)
	b.ack(1, 4, 3)
	b.wantWatermark(3)
	b.BrokersChanged(func(id model.BrokerID) (model.BrokerEpoch, bool) { return model.BrokerEpoch(200 + id), true }, b.now)
	if b.ack(1, 4, 4) {
		t.Error("an acknowledgement of the former incarnation counts")
	}
	b.wantWatermark(3)
	m := b.question(1, 3, 3, benchEpoch)
	if a := b.Subscribe(m, b.now); a.(Refused).Reason != FencedBrokerEpoch {
		t.Errorf("the former incarnation is answered %+v", a)
	}
	m.BrokerEpoch, m.Subscription = 201, 1 // it counts from one again
	if a, ok := b.Subscribe(m, b.now).(Accepted); !ok {
		t.Errorf("the new incarnation is answered %+v", a)
	}
}

// TestR3LagIsSinceEven: a follower that keeps up with a busy leader is never even at any moment, and lags not.
func TestR3LagIsSinceEven(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0, 1}, replicas: []model.BrokerID{0, 1}})
	b.subscribe(1, 0, 0)
	for i := range 100 { // a hundred entries behind, half a second late
		b.write(100, model.Offset(100*(i+1)))
		b.pass(lagTime / 4)
		b.ack(1, model.Offset(100*(i+1)), model.Offset(100*i))
	}
	if p := b.Take().Proposal; p != nil {
		t.Errorf("a follower that keeps up is shrunk away: %+v", p)
	}
	for range 8 {
		b.write(1, b.log.end()) // from here on it gets nothing done
		b.pass(lagTime / 4)
	}
	b.wantProposal(0)
}

// TestR3IdleFollowerDoesNotLag: it is even as long as there is nothing to do, and has the whole lag time from then on.
func TestR3IdleFollowerDoesNotLag(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0, 1}, replicas: []model.BrokerID{0, 1}})
	b.subscribe(1, 0, 0)
	b.write(1, 1)
	b.ack(1, 1, 1)
	if b.Watchful() {
		t.Error("an idle partition wants ticks")
	}
	b.now = b.now.Add(time.Hour)
	b.write(1, 2)
	if !b.Watchful() {
		t.Error("nobody watches the follower")
	}
	b.pass(lagTime)
	b.wantProposal()
	b.pass(lagTime / 4)
	b.wantProposal(0)
}

// TestR3LagInEntries, where it is limited.
func TestR3LagInEntries(t *testing.T) {
	b := begin(t, setup{lagEntries: 10})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(10, 10)
	b.wantProposal()
	b.ack(1, 10, 2)
	b.write(1, 11)
	b.wantProposal(0, 1)
	b.commit(0, 1)
	b.ack(2, 11, 1)
	b.pass(retry)
	b.wantProposal()
	b.ack(2, 11, 11)
	b.wantProposal(0, 1, 2)
}

// TestR8OwnPauseIsNotTheirs: a leader that was stopped has not heard the acknowledgements that wait for it.
func TestR8OwnPauseIsNotTheirs(t *testing.T) {
	b := begin(t, setup{})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(5, 4)
	b.now = b.now.Add(30 * time.Second)
	b.Tick(b.now)
	if out := b.Take(); out.Proposal != nil || out.Resign != 0 {
		t.Errorf("after its own pause the leader wants %+v", out)
	}
	b.pass(lagTime + lagTime/4)
	if out := b.Take(); out.Proposal == nil {
		t.Error("followers that stay silent stay in sync")
	}
}

// TestR8StalledLeaderHandsOver, if there is somebody to.
func TestR8StalledLeaderHandsOver(t *testing.T) {
	for _, c := range []struct {
		name          string
		isr           []model.BrokerID
		synced, write model.Offset
		want          Resignation
	}{
		{"a member is in sync", []model.BrokerID{0, 1}, 5, 5, LogStalled},
		{"nobody else", []model.BrokerID{0}, 5, 5, 0},
		{"nothing to do", []model.BrokerID{0, 1}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := begin(t, setup{isr: c.isr})
			b.subscribe(1, 0, 0)
			b.Take()
			b.write(int(c.write), 0)
			b.ack(1, c.write, c.synced)
			b.pass(lagTime)
			if got := b.Take().Resign; got != 0 {
				t.Errorf("resigns after the lag time already: %v", got)
			}
			b.pass(lagTime / 4)
			if got := b.Take().Resign; got != c.want {
				t.Errorf("resigns: %v, want %v", got, c.want)
			}
			b.wantAppend(1, nil) // it leads until another does
			b.pass(lagTime / 4)
			if got := b.Take().Resign; got != c.want {
				t.Errorf("repeats: %v, want %v", got, c.want)
			}
			b.write(0, c.write)
			b.pass(lagTime / 4)
			if got := b.Take().Resign; got != 0 {
				t.Errorf("still resigns: %v", got)
			}
		})
	}
}

// TestR8ProgressIsNoStall: as long as the synced offset moves, a slow disk is not a stalled one.
func TestR8ProgressIsNoStall(t *testing.T) {
	b := begin(t, setup{})
	b.subscribe(1, 0, 0)
	b.subscribe(2, 0, 0)
	b.write(100, 0)
	for i := range model.Offset(10) {
		b.pass(lagTime / 2)
		b.ack(1, 100, 100)
		b.ack(2, 100, 100)
		b.write(0, i+1)
	}
	if got := b.Take().Resign; got != 0 {
		t.Errorf("resigns: %v", got)
	}
}

// TestR2CutLog: what failed to be written may be forgotten only if no follower has it.
func TestR2CutLog(t *testing.T) {
	cut := func(b *bench, to model.Offset) {
		b.log.cut(to)
		b.OwnMoved(b.log.own(), b.now)
	}
	b := begin(t, setup{})
	b.subscribe(1, 0, 0)
	b.write(5, 2)
	if _, ok := b.Send(1, 0, 3, []byte("abc")); !ok {
		t.Fatal("not sent")
	}
	cut(b, 3) // nobody has more
	b.wantAppend(1, nil)
	cut(b, 2)
	b.wantAppend(1, ErrNotLeading)
	if got := b.Take().Resign; got != LogCut {
		t.Errorf("resigns: %v, want %v", got, LogCut)
	}
	b.pass(retry)
	if got := b.Take().Resign; got != LogCut {
		t.Errorf("asks once only: %v", got)
	}

	b = begin(t, setup{log: epochs(10, 4), synced: 8})
	b.subscribe(1, 10, 10) // it holds what this log had not synced when the epoch began
	cut(b, 9)
	b.wantAppend(1, ErrNotLeading)

	b = begin(t, setup{log: epochs(10, 4), synced: 8, minISR: 2})
	cut(b, 9)
	b.wantAppend(1, nil)
	b.subscribe(1, 9, 9)
	b.subscribe(2, 9, 9)
	b.write(0, 9)
	if !b.Settled() {
		t.Error("the epoch's start is out of reach")
	}
}

// TestD3FailedLog: the leader is none any more, and says so until somebody else is.
func TestD3FailedLog(t *testing.T) {
	b := begin(t, setup{})
	b.write(1, 0)
	b.OwnFailed(b.now)
	b.wantAppend(0, ErrNotLeading)
	if _, err := b.Acknowledge(0); err != ErrNotLeading {
		t.Errorf("the waiter is told %v", err)
	}
	for range 3 {
		if got := b.Take().Resign; got != LogFailed {
			t.Errorf("resigns: %v, want %v", got, LogFailed)
		}
		b.pass(retry)
	}
}
