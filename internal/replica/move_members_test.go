package replica

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
)

// TestMoveOfMembers: a leader and a follower move while records are produced: no acknowledged record is lost, roles and epoch stay, all logs agree.
func TestMoveOfMembers(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		epoch := g.state.LeaderEpoch
		n := 0
		for i := range 40 {
			switch i {
			case 5:
				if err := g.brokers[1].Move(t0, "/more"); err != nil {
					t.Fatal(err)
				}
			case 20:
				if err := g.brokers[2].Move(t0, "/more"); err != nil {
					t.Fatal(err)
				}
			}
			_, w, err := g.brokers[1].produce(-1, record.Options{})
			if err != nil {
				if i < 5 {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond) // as a client does
				continue
			}
			if err := w.result(t); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			n++
		}
		for _, id := range []model.BrokerID{1, 2} {
			settleMove(g.brokers[id].Get(t0))
			if dir := g.brokers[id].Get(t0).Dir(); dir != "/more" {
				t.Errorf("broker %d holds it in %s\n%s", id, dir, g.log)
			}
		}
		settle()
		g.brokers[1].acked()
		if g.state.LeaderEpoch != epoch || g.state.Leader != 1 {
			t.Errorf("the leader is %d in epoch %d, want 1 in %d", g.state.Leader, g.state.LeaderEpoch, epoch)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if isr := fmt.Sprint(g.isr()); isr != "[1 2 3]" {
			t.Errorf("the ISR is %s", isr)
		}
		g.agree(model.Offset(n + 1))
	})
}
