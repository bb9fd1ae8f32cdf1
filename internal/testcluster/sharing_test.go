package testcluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
)

// deliveries polls until there is something.
func (w *worker) deliveries(t *testing.T) (out []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(out) == 0 {
		got := w.PollRecords(ctx, 8)
		if ctx.Err() != nil {
			t.Fatalf("the group is given nothing: %v", got.Err0())
		}
		out = got.Records()
	}
	return out
}

// flush sends what was marked, and tells whether all of that is acknowledged.
func (w *worker) flush(t *testing.T) (certain bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := w.FlushAcks(ctx); err != nil {
		t.Fatalf("acknowledging: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	certain = w.failed == nil
	w.failed = nil
	return certain
}

// TestShareLocksExpire: what a member holds and says nothing of is given to others when its time is over, and not before; then it is too late for the first one
// to acknowledge it.
func TestShareLocksExpire(t *testing.T) {
	const records, lock = 8, 30 * time.Second
	onShares(t, records, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		silent, other := newWorker(c), newWorker(c)
		defer silent.Close()
		defer other.Close()
		held := make(map[int64]bool)
		for len(held) < records {
			for _, r := range silent.deliveries(t) {
				held[r.Offset] = true
			}
			if len(held) < records {
				t.Fatalf("a member is given %d of %d records", len(held), records)
			}
		}
		began := time.Now()
		for len(held) > 0 {
			for _, r := range other.deliveries(t) {
				if r.DeliveryCount() < 2 || !held[r.Offset] {
					t.Errorf("record %d is delivered for the %d. time", r.Offset, r.DeliveryCount())
				}
				delete(held, r.Offset)
				r.Ack(kgo.AckAccept)
			}
			if took := time.Since(began); took < lock-5*time.Second || took > lock+10*time.Second {
				t.Errorf("records are given to others after %v, want %v", took, lock)
			}
			if !other.flush(t) {
				t.Error("who has them cannot acknowledge them")
			}
		}
		silent.MarkAcks(kgo.AckAccept)
		silent.flush(t)
		if at := shareOffset(t, c); at != records {
			t.Errorf("the group is at %d of %d", at, records)
		}
	})
}

// TestShareDeliveryLimit: a record that every member gives back is delivered five times and no more, also if its leaders die meanwhile, and holds up no others.
func TestShareDeliveryLimit(t *testing.T) {
	const records, limit, poison = 20, 5, 7
	onShares(t, records, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		finished, released, unsure, dead := done{}, 0, 0, 0
		for round := 0; shareOffset(t, c) < records; round++ {
			w := newWorker(c)
			var values []string
			had := false
			for _, r := range w.deliveries(t) {
				if r.Offset == poison {
					had = true
					r.Ack(kgo.AckRelease)
				} else {
					values = append(values, string(r.Value))
					r.Ack(kgo.AckAccept)
				}
			}
			certain := w.flush(t)
			finished.add(t, values, certain)
			switch {
			case had && certain:
				released++
			case had:
				unsure++
			}
			w.Close()
			if released > limit {
				t.Fatalf("the record was given back %d times", released)
			}
			switch round {
			case 2:
				dead = leaderOf(t, cl)
				c.Kill(dead)
			case 4:
				c.Run(dead)
			}
		}
		if released+unsure < limit || len(finished) != records-1 {
			t.Errorf("one record was given back %d times, and perhaps %d more, before the group went on; %d others were accepted", released, unsure, len(finished))
		}
	})
}
