package replication

import (
	"testing"

	"chronik/internal/model"
)

// TestR1Refusals: what is bound to another epoch is not even looked at.
func TestR1Refusals(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Subscribe)
		want Refusal
	}{
		{"older leader epoch", func(m *Subscribe) { m.LeaderEpoch-- }, FencedLeaderEpoch},
		{"newer leader epoch", func(m *Subscribe) { m.LeaderEpoch++ }, UnknownLeaderEpoch},
		{"not a replica", func(m *Subscribe) { m.Broker = 9 }, NotReplica},
		{"the leader itself", func(m *Subscribe) { m.Broker = 0 }, NotReplica},
		{"older broker epoch", func(m *Subscribe) { m.BrokerEpoch-- }, FencedBrokerEpoch},
		{"newer broker epoch", func(m *Subscribe) { m.BrokerEpoch++ }, UnknownBrokerEpoch},
		{"synced beyond its end", func(m *Subscribe) { m.Own.Synced = m.Own.End + 1 }, BadSubscribe},
		{"start beyond its end", func(m *Subscribe) { m.Own.Start = m.Own.End + 1 }, BadSubscribe},
		{"batches from the future", func(m *Subscribe) { m.LastEpoch = benchEpoch + 1 }, BadSubscribe},
	} {
		b := begin(t, setup{log: epochs(10, 4), synced: 10})
		m := b.question(1, 10, 10, 4)
		c.edit(&m)
		got, ok := b.Subscribe(m, b.now).(Refused)
		want := Refused{Reply{m.Subscription, m.LeaderEpoch, m.BrokerEpoch}, c.want, benchEpoch}
		if !ok || got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
		if _, _, ok := b.Next(1); ok {
			t.Errorf("%s: is sent batches", c.name)
		}
	}
}

// TestR2Compare is where a follower's log and the leader's part, by end and last epoch.
func TestR2Compare(t *testing.T) {
	// The leader: offsets 20 to 29 in epoch 1, 30 to 39 in epoch 3, 40 to 49 in epoch 4.
	log := setup{start: 20, log: epochs(10, 1, 10, 3, 10, 4), synced: 50}
	empty := setup{start: 20, synced: 20}
	about := Reply{1, benchEpoch, 101}
	accept := func(from model.Offset) Answer {
		return Accepted{Reply: about, From: from, HighWatermark: 20, LogStart: 20}
	}
	restart := Restart{about, 20}
	for _, c := range []struct {
		name string
		s    setup
		end  model.Offset
		last model.LeaderEpoch
		want Answer
	}{
		{"the same", log, 50, 4, accept(50)},
		{"behind in the same epoch", log, 44, 4, accept(44)},
		{"behind in an older epoch", log, 35, 3, accept(35)},
		{"behind at an epoch's end", log, 40, 3, accept(40)},
		{"longer in the last epoch", log, 53, 4, Diverged{about, 4, 50}},
		{"longer in an older epoch", log, 42, 3, Diverged{about, 3, 40}},
		{"an epoch that the leader does not have", log, 45, 2, Diverged{about, 1, 30}},
		{"the same, shorter", log, 25, 2, Diverged{about, 1, 30}},
		{"an epoch below all that are left", log, 45, 0, restart},
		{"ends where the leader begins", log, 20, 1, restart},
		{"ends before the leader begins", log, 15, 1, restart},
		{"empty, new", log, 0, model.NoEpoch, restart},
		{"empty, at the leader's start", log, 20, model.NoEpoch, accept(20)},
		{"empty, in the middle", log, 33, model.NoEpoch, accept(33)},
		{"empty, at the leader's end", log, 50, model.NoEpoch, accept(50)},
		{"empty, beyond the leader's end", log, 51, model.NoEpoch, restart},
		{"leader empty, follower longer", empty, 25, 1, restart},
		{"leader empty, follower at its end", empty, 20, 1, restart},
		{"both empty", empty, 20, model.NoEpoch, accept(20)},
	} {
		b := begin(t, c.s)
		m := b.question(1, c.end, 0, c.last)
		if got := b.Subscribe(m, b.now); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		_, accepted := c.want.(Accepted)
		if p := b.Followers(b.now)[0]; p.Streaming != accepted || accepted != (p.Own.End == c.end) {
			t.Errorf("%s: progress %+v", c.name, p)
		}
	}
}

// TestD5AcksAreBound to the leader epoch, the incarnation and the subscription, and to a log that ends where the leader's can.
func TestD5AcksAreBound(t *testing.T) {
	for _, c := range []struct {
		name string
		from model.BrokerID
		edit func(*Ack)
		want bool
	}{
		{"right", 1, func(*Ack) {}, true},
		{"older leader epoch", 1, func(a *Ack) { a.LeaderEpoch-- }, false},
		{"newer leader epoch", 1, func(a *Ack) { a.LeaderEpoch++ }, false},
		{"former subscription", 1, func(a *Ack) { a.Subscription-- }, false},
		{"former incarnation", 1, func(a *Ack) { a.BrokerEpoch-- }, false},
		{"another follower", 2, func(*Ack) {}, false},
		{"no replica", 9, func(*Ack) {}, false},
		{"beyond the leader's end", 1, func(a *Ack) { a.Own.End++ }, false},
		{"synced beyond its end", 1, func(a *Ack) { a.Own.Synced = a.Own.End + 1 }, false},
	} {
		b := begin(t, setup{isr: []model.BrokerID{0, 1}})
		b.subscribe(1, 0, 0)
		b.subscribe(1, 0, 0)
		b.write(4, 4)
		a := Ack{Subscription: 2, LeaderEpoch: benchEpoch, BrokerEpoch: 101, Own: Own{End: 4, Synced: 4}}
		c.edit(&a)
		if got := b.Ack(c.from, a, b.now); got != c.want {
			t.Errorf("%s: counts: %v, want %v", c.name, got, c.want)
		}
		if moved := b.HighWatermark() > 0; moved != c.want {
			t.Errorf("%s: the watermark is %d", c.name, b.HighWatermark())
		}
	}
}

// TestR2LostLeaderRefuses: a leader whose log failed, or never began the epoch, throws nobody's log away. One whose log was cut goes on
// to compare: only so can others join the ISR that it wants to hand over to.
func TestR2LostLeaderRefuses(t *testing.T) {
	held := setup{log: epochs(5, 4), synced: 4}
	for what, lose := range map[string]func(b *bench){
		"failed": func(b *bench) { b.OwnFailed(b.now) },
		"cut, and then failed": func(b *bench) {
			b.subscribe(1, 5, 5)
			b.cutTo(4)
			b.OwnFailed(b.now)
		},
	} {
		b := begin(t, held)
		lose(b)
		answer := b.Subscribe(b.question(2, 5, 5, 4), b.now)
		if r, ok := answer.(Refused); !ok || r.Reason != NotLeading {
			t.Errorf("%s: %+v, want a refusal", what, answer)
		}
	}
	b := begin(t, held)
	b.subscribe(1, 5, 5)
	b.cutTo(4)
	if e := b.Take(); e.Resign != LogCut {
		t.Fatalf("after the cut: %+v", e)
	}
	if d, ok := b.Subscribe(b.question(2, 5, 5, 4), b.now).(Diverged); !ok || d.EndOffset != 4 {
		t.Errorf("a leader whose log was cut: %+v", d)
	}

	b = begin(t, held)
	l := NewLeader(LeaderOptions{
		Broker: 0, BrokerEpoch: 100, State: b.state, Own: b.log.own(), History: &toyLog{entries: b.log.entries}, Config: b.cfg, Now: b.now,
		Live: func(id model.BrokerID) (model.BrokerEpoch, bool) { return model.BrokerEpoch(100 + id), true },
	})
	if e := l.Take(); e.Resign != LogFailed {
		t.Errorf("a leader whose log never began the epoch: %+v, want it to resign", e)
	}
	if err := l.MayAppend(1); err == nil {
		t.Error("a leader whose log never began the epoch appends")
	}
	if r, ok := l.Subscribe(b.question(2, 5, 5, 4), b.now).(Refused); !ok || r.Reason != NotLeading {
		t.Errorf("a leader whose log never began the epoch: %+v, want a refusal", r)
	}
}

// cutTo takes unsynced entries from the leader's log, as a full disk does.
func (b *bench) cutTo(end model.Offset) {
	b.log.entries = b.log.entries[:end-b.log.start]
	b.log.synced = min(b.log.synced, end)
	b.OwnMoved(b.log.own(), b.now)
}

// TestSubscriptionsOnlyGrow: a question that was given up on is not answered, and does not end the stream of the newer one.
func TestSubscriptionsOnlyGrow(t *testing.T) {
	b := begin(t, setup{})
	old := b.question(1, 0, 0, model.NoEpoch)
	b.subscribe(1, 0, 0)
	b.write(2, 2)
	for _, m := range []Subscribe{old, {Subscription: 2, LeaderEpoch: benchEpoch, Broker: 1, BrokerEpoch: 101, LastEpoch: model.NoEpoch}} {
		if a := b.Subscribe(m, b.now); a != nil {
			t.Errorf("question %d is answered %+v", m.Subscription, a)
		}
	}
	if from, credit, ok := b.Next(1); from != 0 || credit != 1000 || !ok {
		t.Errorf("Next = %d, %d, %v", from, credit, ok)
	}
	b.LinkLost(1, b.subs[1]-1) // the link before this one; the follower has come back over another
	if _, _, ok := b.Next(1); !ok {
		t.Error("the loss of an older link ends the stream")
	}
	b.LinkLost(1, b.subs[1])
	if a := b.Subscribe(old, b.now); a != nil {
		t.Errorf("after the link was lost, question %d is answered %+v", old.Subscription, a)
	}
	if b.ack(1, 2, 2) {
		t.Error("an acknowledgement counts after the link was lost")
	}
}

// TestSendWithinCredit: in order, without a hole, and no more than the follower has room for.
func TestSendWithinCredit(t *testing.T) {
	b := begin(t, setup{})
	if _, _, ok := b.Next(1); ok {
		t.Error("something to send without a stream")
	}
	b.subscribe(1, 0, 0)
	if _, _, ok := b.Next(1); ok {
		t.Error("something to send from an empty log")
	}
	b.write(10, 3)
	if _, ok := b.Send(1, 1, 5, nil); ok {
		t.Error("sent with a hole")
	}
	m, ok := b.Send(1, 0, 6, make([]byte, 999)) // not synced here yet
	if !ok || m.From != 0 || m.End != 6 || len(m.Bytes) != 999 || m.LeaderEpoch != benchEpoch || m.Subscription != 1 {
		t.Errorf("Send = %+v, %v", m, ok)
	}
	if from, credit, ok := b.Next(1); from != 6 || credit != 1 || !ok {
		t.Errorf("Next = %d, %d, %v", from, credit, ok)
	}
	if _, ok := b.Send(1, 6, 8, make([]byte, 100)); !ok { // a batch may overdraw
		t.Error("not sent on the last credit")
	}
	if _, _, ok := b.Next(1); ok {
		t.Error("something to send without credit")
	}
	b.Grant(1, Credit{Subscription: 7, Bytes: 500})
	b.Grant(9, Credit{Subscription: 1, Bytes: 500})
	b.Grant(1, Credit{Subscription: 1, Bytes: -5})
	if _, _, ok := b.Next(1); ok {
		t.Error("credit of another stream counts")
	}
	b.Grant(1, Credit{Subscription: 1, Bytes: 100})
	if from, credit, ok := b.Next(1); from != 8 || credit != 1 || !ok {
		t.Errorf("Next = %d, %d, %v", from, credit, ok)
	}
}

// TestWatermarkIsToldWhenIdle, once.
func TestWatermarkIsToldWhenIdle(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0, 1}})
	b.subscribe(1, 0, 0)
	if m, ok := b.Watermark(1); ok {
		t.Errorf("told again what Accepted said: %+v", m)
	}
	b.write(5, 5)
	b.Send(1, 0, 5, nil)
	b.ack(1, 5, 4)
	if m, ok := b.Watermark(1); !ok || m != (Watermark{1, benchEpoch, 4, 0}) {
		t.Errorf("Watermark = %+v, %v", m, ok)
	}
	if m, ok := b.Watermark(1); ok {
		t.Errorf("told twice: %+v", m)
	}
	b.log.trim(3)
	b.OwnMoved(b.log.own(), b.now)
	if m, ok := b.Watermark(1); !ok || m != (Watermark{1, benchEpoch, 4, 3}) {
		t.Errorf("Watermark = %+v, %v", m, ok)
	}
}

// TestOvertaken: retention does not wait for followers out of the ISR.
func TestOvertaken(t *testing.T) {
	b := begin(t, setup{isr: []model.BrokerID{0}})
	b.subscribe(1, 0, 0)
	b.ProposalAnswered(b.Take().Proposal.Number, Declined, State{}, b.now)
	b.commit(0)
	b.LinkLost(1, b.subs[1])
	b.subscribe(1, 0, 0)
	b.commit(0)
	b.write(10, 10)
	if _, ok := b.Overtaken(1); ok {
		t.Error("overtaken by nothing")
	}
	b.log.trim(4)
	b.OwnMoved(b.log.own(), b.now)
	if _, _, ok := b.Next(1); ok {
		t.Error("deleted batches are to be sent")
	}
	want := Restart{Reply{b.subs[1], benchEpoch, 101}, 4}
	if m, ok := b.Overtaken(1); !ok || m != want {
		t.Errorf("Overtaken = %+v, %v, want %+v", m, ok, want)
	}
	if _, ok := b.Overtaken(1); ok {
		t.Error("told twice")
	}
}

// TestFollowersProgress is what metrics show.
func TestFollowersProgress(t *testing.T) {
	b := begin(t, setup{})
	b.subscribe(1, 0, 0)
	b.write(10, 10)
	b.Send(1, 0, 7, nil)
	b.ack(1, 7, 5)
	b.pass(lagTime / 2)
	got := b.Followers(b.now)
	if want := (Progress{Broker: 1, InSync: true, Live: true, Streaming: true, Own: Own{End: 7, Synced: 5}, Sent: 7, Lag: lagTime / 2}); got[0] != want {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	if want := (Progress{Broker: 2, InSync: true, Live: true, Own: unknown, Lag: lagTime / 2}); got[1] != want {
		t.Errorf("%+v, want %+v", got[1], want)
	}
}

func BenchmarkAck(b *testing.B) {
	l := NewLeader(LeaderOptions{
		State: State{LeaderEpoch: 1, Replicas: []model.BrokerID{0, 1, 2}, ISR: []model.BrokerID{0, 1, 2}}, History: &toyLog{led: 1},
		Config: Config{MinISR: 2, LagTime: lagTime}, Live: func(model.BrokerID) (model.BrokerEpoch, bool) { return 1, true },
	})
	for id := range model.BrokerID(2) {
		l.Subscribe(Subscribe{Subscription: 1, LeaderEpoch: 1, Broker: id + 1, BrokerEpoch: 1, LastEpoch: model.NoEpoch}, l.now)
	}
	b.ReportAllocs()
	var off model.Offset
	for b.Loop() {
		off++
		own := Own{End: off, Synced: off}
		l.OwnMoved(own, l.now)
		for id := range model.BrokerID(2) {
			l.Ack(id+1, Ack{Subscription: 1, LeaderEpoch: 1, BrokerEpoch: 1, Own: own}, l.now)
		}
		if !l.Take().Moved {
			b.Fatal("the watermark stands still")
		}
	}
}
