package node

import (
	"context"
	"time"

	"chronik/internal/replica"
)

// leastRest keeps a cleaner whose configured rest is 0 from looking at all logs without a pause.
const leastRest = 100 * time.Millisecond

// clean compacts logs until ctx ends, as the broker's configuration says at the time.
func (n *Node) clean(ctx context.Context) {
	for {
		cfg := n.follower.broker()
		timer := time.NewTimer(max(time.Duration(cfg.CleanerBackoffMs)*time.Millisecond, leastRest))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if cfg = n.follower.broker(); cfg.CleanerEnable {
			n.replicas.Clean(ctx, replica.Cleaning{
				Threads: int(cfg.CleanerThreads), KeyBytes: cfg.CleanerKeyBytes, KeyLoad: cfg.CleanerKeyLoad, BytesPerSecond: cfg.CleanerBytesPerSecond,
			})
		}
	}
}
