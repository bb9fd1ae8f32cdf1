package replica

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestDeletionWaitsForReplicas: DeleteRecords is over when the replicas in service have deleted too.
func TestDeletionWaitsForReplicas(t *testing.T) {
	inGroup(t, 1, func(t *testing.T, g *group) {
		settle()
		for range 6 {
			g.brokers[1].acked()
		}
		settle()
		r := g.brokers[1].Get(t0)
		if low, err := r.DeleteBefore(4); err != nil || low != 4 {
			t.Fatalf("%d, %v", low, err)
		}
		if low, err := r.AwaitDeletion(t.Context(), 4); err != nil || low != 4 {
			t.Errorf("all are there: %d, %v", low, err)
		}
		if l, err := g.brokers[3].Get(t0).Log(); err != nil || l.Start() != 4 {
			t.Errorf("when it is over a follower begins at %d: %v", l.Start(), err)
		}
		g.brokers[3].isolate(true)
		if _, err := r.DeleteBefore(5); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if low, err := r.AwaitDeletion(ctx, 5); !errors.Is(err, context.DeadlineExceeded) || low != 4 {
			t.Errorf("one cannot be reached: %d, %v, want the deadline", low, err)
		}
		g.fence(3)
		if low, err := r.AwaitDeletion(t.Context(), 5); err != nil || low != 5 {
			t.Errorf("one is out of service: %d, %v", low, err)
		}
		g.brokers[2].isolate(true)
		if _, err := r.DeleteBefore(6); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() { g.elect(2) })
		if _, err := r.AwaitDeletion(t.Context(), 6); !errors.Is(err, ErrNotLeader) {
			t.Errorf("another leader is elected: %v, want ErrNotLeader", err)
		}
		if m := r.member.Load(); len(m.forDeletion.list) != 0 {
			t.Error("somebody waits still")
		}
	})
}
