package node

import (
	"context"
	"time"

	"chronik/internal/replica"
	"chronik/internal/wait"
)

const (
	// leastRest keeps a cleaner whose configured rest is 0 from looking at all logs without a pause.
	leastRest = 100 * time.Millisecond
	// mostRest is how long a log may stay beyond its bound before that is noticed, whatever rest is configured: those of coordinators have one.
	mostRest = time.Second
)

// clean compacts logs until ctx ends, as the broker's configuration says at the time.
func (n *Node) clean(ctx context.Context) {
	rest := func() time.Duration {
		return max(time.Duration(n.follower.broker().CleanerBackoffMs)*time.Millisecond, leastRest)
	}
	looked := time.Now()
	for wait.For(ctx, min(rest(), mostRest)) == nil {
		cfg, all := n.follower.broker(), time.Since(looked) >= rest()
		if !cfg.CleanerEnable {
			continue
		}
		n.replicas.Clean(ctx, replica.Cleaning{
			Threads: int(cfg.CleanerThreads), KeyBytes: cfg.CleanerKeyBytes, KeyLoad: cfg.CleanerKeyLoad, BytesPerSecond: cfg.CleanerBytesPerSecond,
			OutgrownOnly: !all,
		})
		if all {
			looked = time.Now()
		}
	}
}
