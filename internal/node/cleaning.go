package node

import (
	"context"
	"time"

	"chronik/internal/replica"
	"chronik/internal/wait"
)

// leastRest keeps a cleaner whose configured rest is 0 from looking at all logs without a pause.
const leastRest = 100 * time.Millisecond

// clean compacts logs until ctx ends, as the broker's configuration says at the time.
func (n *Node) clean(ctx context.Context) {
	rest := func() time.Duration {
		return max(time.Duration(n.follower.broker().CleanerBackoffMs)*time.Millisecond, leastRest)
	}
	for wait.For(ctx, rest()) == nil {
		if cfg := n.follower.broker(); cfg.CleanerEnable {
			n.replicas.Clean(ctx, replica.Cleaning{
				Threads: int(cfg.CleanerThreads), KeyBytes: cfg.CleanerKeyBytes, KeyLoad: cfg.CleanerKeyLoad, BytesPerSecond: cfg.CleanerBytesPerSecond,
			})
		}
	}
}
