package loop

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// offsetsTopic is where commits of transactions end up.
const offsetsTopic = "__consumer_offsets"

// Output is a topic that transactions write, and the cluster that it is in.
type Output struct {
	Admin      *kadm.Client
	Connect    func(...kgo.Opt) (*kgo.Client, error) // a client that knows where the cluster is
	Topic      string
	Partitions int
}

// AwaitClosed returns when no transaction is open anywhere, in whichever way one looks (T4), or why not when limit is over.
func (o *Output) AwaitClosed(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := o.Closed(ctx)
		if err == nil || wait.For(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// Closed is nil if no transaction is open: for no coordinator, in the producers of no partition of the output or of the groups' offsets, and with no last stable
// offset behind its high watermark.
func (o *Output) Closed(ctx context.Context) error {
	open, err := o.Admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	for _, x := range open.Sorted() {
		return fmt.Errorf("%s (producer %d) is %s at node %d", x.TxnID, x.ProducerID, x.State, x.Coordinator)
	}
	topics, err := o.Admin.ListTopics(ctx, o.Topic, offsetsTopic)
	if err != nil {
		return err
	}
	described, err := o.Admin.DescribeProducers(ctx, topics.TopicsSet())
	if err != nil {
		return err
	}
	for _, p := range described.SortedPartitions() {
		if p.Err != nil {
			return fmt.Errorf("the producers of %s-%d: %w", p.Topic, p.Partition, p.Err)
		}
	}
	for _, x := range described.SortedProducers() {
		if x.CurrentTxnStartOffset >= 0 {
			return fmt.Errorf("%s-%d: a transaction of producer %d is open from offset %d", x.Topic, x.Partition, x.ProducerID, x.CurrentTxnStartOffset)
		}
	}
	return o.stable(ctx)
}

// stable compares last stable offsets with high watermarks. Nobody may write meanwhile.
func (o *Output) stable(ctx context.Context) error {
	stable, err := o.Admin.ListCommittedOffsets(ctx, o.Topic, offsetsTopic)
	if err != nil {
		return err
	}
	ends, err := o.Admin.ListEndOffsets(ctx, o.Topic, offsetsTopic)
	if err != nil {
		return err
	}
	var unstable error
	ends.Each(func(end kadm.ListedOffset) {
		at, _ := stable.Lookup(end.Topic, end.Partition)
		if end.Err != nil || at.Err != nil || at.Offset != end.Offset {
			unstable = fmt.Errorf("%s-%d: the last stable offset is %d (%v), the high watermark %d (%v)", end.Topic, end.Partition, at.Offset, at.Err, end.Offset, end.Err)
		}
	})
	return unstable
}

// maxWrong is how many wrong records an audit names.
const maxWrong = 20

// Verdict is what an audit found.
type Verdict struct {
	Aborted int64    // records of aborted transactions
	Wrong   []string // what breaks the promise; the last line sums up
}

// Audit holds what a consumer of committed records reads against the input: want records of each partition. No transaction may be open.
func (o *Output) Audit(ctx context.Context, want []int64) (Verdict, error) {
	var v Verdict
	next, wrong := make([]int64, o.Partitions), 0
	err := o.read(ctx, kgo.ReadCommitted(), func(r *kgo.Record) {
		v.Aborted--
		n, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil || n != next[r.Partition] {
			if wrong++; wrong <= maxWrong {
				v.Wrong = append(v.Wrong, fmt.Sprintf("output partition %d, offset %d (producer %d, epoch %d): %q, want %d", r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch, r.Value, next[r.Partition]))
			}
		}
		next[r.Partition] = n + 1
	})
	if err != nil {
		return v, err
	}
	if !slices.Equal(next, want) {
		v.Wrong = append(v.Wrong, fmt.Sprintf("the output ends at %v, want %v", next, want))
	}
	if wrong > 0 {
		v.Wrong = append(v.Wrong, fmt.Sprintf("%d records are doubled, missing or out of order", wrong))
	}
	return v, o.read(ctx, kgo.ReadUncommitted(), func(*kgo.Record) { v.Aborted++ })
}

// read reads the output to its end, where no transaction is open: so the last thing in a partition is a transaction's end.
func (o *Output) read(ctx context.Context, level kgo.IsolationLevel, each func(*kgo.Record)) error {
	ends, err := o.Admin.ListEndOffsets(ctx, o.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	cl, err := o.Connect(kgo.ConsumeTopics(o.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	open := 0
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			open++
		}
	})
	for open > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("reading %s: %w; %d partitions are not read to their ends", o.Topic, err, open)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(o.Topic, r.Partition); r.Offset == end.Offset-1 {
				open--
			}
			if !r.Attrs.IsControl() {
				each(r)
			}
		})
	}
	return nil
}
