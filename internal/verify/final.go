package verify

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/verify/history"
	"chronik/internal/wait"
)

// readAll reads the topic to its end, and waits for the consumers to get there. It returns what did not finish.
func (r *Run) readAll(ctx context.Context) (unfinished []string) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Settle)
	defer cancel()
	r.opts.Logf("reading everything")
	_ = r.cluster.look(ctx) // ends tells if it failed
	ends := make([]int64, r.cluster.parts)
	for p := range ends {
		err := r.readPartition(ctx, int32(p), &ends[p])
		if err != nil {
			unfinished = append(unfinished, err.Error())
		}
	}
	if len(unfinished) > 0 {
		return unfinished
	}
	for _, c := range r.consumers {
		c.expect(ends)
		select {
		case <-c.done:
		case <-ctx.Done():
			unfinished = append(unfinished, c.behind())
		}
	}
	return unfinished
}

// readPartition reads a partition from the start of the log to where it ends now.
func (r *Run) readPartition(ctx context.Context, partition int32, to *int64) error {
	start, end, err := r.cluster.ends(ctx, partition)
	if err != nil {
		return err
	}
	h := r.cluster.head(partition)
	r.record(&history.Event{Kind: history.Led, Partition: partition, Client: h.leader, Offset: int64(h.epoch)})
	*to = end
	next := max(start, r.base[partition])
	for next < end && err == nil {
		before := next
		next, err = r.readOn(ctx, partition, next, end)
		if err != nil && (ctx.Err() == nil && next > before || wait.For(ctx, again) == nil) {
			r.trouble("final read", err)
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("partition %d was read up to offset %d of %d: %w", partition, next, end, err)
	}
	r.record(&history.Event{Kind: history.FinalBounds, Partition: partition, Start: start, End: end})
	return nil
}

// readOn reads as far as it can with one client, and returns the offset to go on from.
func (r *Run) readOn(ctx context.Context, partition int32, next, end int64) (int64, error) {
	cl, err := kgo.NewClient(r.readerOptions("", map[int32]kgo.Offset{partition: kgo.NewOffset().At(next)})...)
	if err != nil {
		return next, fmt.Errorf("options that the client refuses: %w", err)
	}
	defer cl.Close()
	for next < end {
		fetches := cl.PollFetches(ctx)
		if records := fetches.Records(); len(records) > 0 {
			r.record(&history.Event{Kind: history.FinalRead, Partition: partition, Runs: r.runs(records)})
			next = records[len(records)-1].Offset + 1
		}
		if err := fetches.Err(); err != nil {
			return next, err
		}
	}
	return next, nil
}
