package verify

import (
	"context"
	"fmt"
	"time"

	"chronik/internal/verify/history"
)

// underWay is how long after a leader's death a reply of its may still arrive.
const underWay = 100 * time.Millisecond

// AnyPartition asks for the partition whose gap lasted longest.
const AnyPartition = -1

// Gap is a time without an acknowledged write.
type Gap struct {
	Partition int32
	From, To  time.Time // the acknowledgement before it, or the first record sent, and the one after it
	Open      bool      // none has come after it yet; To is when that was asked
}

// Gap returns the gap in a partition that contains since: the longest that touches the 100 ms from since on, because a reply that a dead leader had
// sent may arrive after its death. If there was none of history.Resolution, From and To are since. It fails if nothing was sent there yet.
func (r *Run) Gap(partition int32, since time.Time) (Gap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, _, err := r.gap(partition, since)
	return g, err
}

// Await is Gap, after waiting for the gap to end. It waits for an acknowledgement later than 100 ms after since.
func (r *Run) Await(ctx context.Context, partition int32, since time.Time) (Gap, error) {
	for {
		r.mu.Lock()
		g, settled, err := r.gap(partition, since)
		acks := r.acks
		r.mu.Unlock()
		if err == nil && settled {
			return g, nil
		}
		select {
		case <-acks:
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("partition %d: no acknowledged write for %v, since %v", g.Partition, g.To.Sub(g.From).Round(time.Millisecond), g.From.Format(time.StampMilli))
			}
			return g, err
		}
	}
}

// gap also tells whether no later acknowledgement changes the answer.
func (r *Run) gap(partition int32, since time.Time) (Gap, bool, error) {
	at, now := since.Sub(r.began), time.Since(r.began)
	from, to := partition, partition+1
	if partition == AnyPartition {
		from, to = 0, int32(r.cluster.parts)
	}
	var best history.Gap
	settled := true
	for p := from; p < to; p++ {
		g, last, ok := r.checker.Gap(p, at, underWay, now)
		if !ok {
			return Gap{}, false, fmt.Errorf("partition %d: nothing was sent there yet", p)
		}
		settled = settled && last > at+underWay
		if p == from || g.Length() > best.Length() {
			best = g
		}
	}
	return Gap{Partition: best.Partition, From: r.began.Add(best.From), To: r.began.Add(best.To), Open: best.Open}, settled, nil
}
