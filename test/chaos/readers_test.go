package chaos

import (
	"context"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/exactlyonce/loop"
)

// readAlong reads as a member of a group and commits what it was given before it asks for more. Partitions go to others only between a commit and the next
// poll: so commits of a partition never go back by the members' own doing. The balancer is an eager one for the same reason: with a cooperative one, a member that
// was removed and joins again still commits what it held before, in the new generation, until it hears that others have it.
func (k *crew) readAlong(ctx context.Context, m *team, log io.Writer, opts []kgo.Opt) error {
	cl, err := k.connect(append(opts, kgo.ConsumerGroup(m.group), kgo.ConsumeTopics(numbers), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.Balancers(kgo.RangeBalancer()))...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 100)
		m.deliver(fetches)
		if ctx.Err() == nil && fetches.NumRecords() > 0 {
			commit(ctx, cl, m.watch, log)
		}
		cl.AllowRebalance()
	}
	return nil
}

// commit commits what was polled, and tells the watch what is acknowledged.
func commit(ctx context.Context, cl *kgo.Client, w *loop.Watch, log io.Writer) {
	offsets := cl.UncommittedOffsets()
	cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			_, _ = fmt.Fprintf(log, "committing %v: %v\n", offsets, err)
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 {
					w.Acked(p.Partition, offsets[numbers][p.Partition].Offset)
				}
			}
		}
	})
}

// deliver notes what a reader was given.
func (m *team) deliver(fetches kgo.Fetches) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		seen := &m.seen[r.Partition]
		for int64(len(*seen)) <= r.Offset {
			*seen = append(*seen, false)
		}
		(*seen)[r.Offset] = true
	})
}

// missed lists what was committed and never delivered, a line for each partition. What copiers were given shows in what they wrote.
func (m *team) missed(want []int64) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.seen {
		missing, first := 0, int64(-1)
		for offset := range want[p] {
			if offset >= int64(len(m.seen[p])) || !m.seen[p][offset] {
				if missing++; first < 0 {
					first = offset
				}
			}
		}
		if missing > 0 && !m.transactional {
			out = append(out, fmt.Sprintf("group %s was never given %d records of partition %d, the first at offset %d", m.group, missing, p, first))
		}
	}
	return out
}
