package replication

import (
	"testing"

	"chronik/internal/model"
)

// TestR2CutLeaderLetsOthersIn: a leader whose log was cut appends no more in its epoch. If it is the only member of the ISR, somebody must join
// before anybody can take over: a follower that has what the leader lost, too, and one that has less.
func TestR2CutLeaderLetsOthersIn(t *testing.T) {
	b := begin(t, setup{log: epochs(4, 5), synced: 4, isr: []model.BrokerID{0}})
	b.subscribe(1, 4, 3)
	b.subscribe(2, 2, 2)
	b.write(2, 4)
	if _, ok := b.Send(1, 4, 6, nil); !ok {
		t.Fatal("nothing is sent to broker 1")
	}
	b.Take()
	b.log.entries = b.log.entries[:4]
	b.OwnMoved(b.log.own(), b.now)
	if e := b.Take(); e.Resign != LogCut {
		t.Fatalf("after the cut: %+v, want it to resign", e)
	}
	b.pass(retry)
	if !b.ack(1, 6, 6) {
		t.Error("the acknowledgement of a follower that has what was cut does not count")
	}
	b.wantProposal(0, 1)
	b.commit(0, 1)
	b.wantWatermark(4)
	if _, ok := b.Send(2, 2, 4, nil); !ok {
		t.Error("a follower that has less is not sent the rest")
	}
	b.ack(2, 4, 4)
	b.pass(retry)
	b.wantProposal(0, 1, 2)
	if err := b.MayAppend(1); err == nil {
		t.Error("it appends")
	}
}
