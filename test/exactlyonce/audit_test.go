package exactlyonce

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// offsetsTopic is where commits of transactions end up.
const offsetsTopic = "__consumer_offsets"

// awaitClosed returns when no transaction is open anywhere, in whichever way one looks.
func (s *story) awaitClosed(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := s.closed(ctx)
		if err == nil || wait.For(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

func (s *story) closed(ctx context.Context) error {
	open, err := s.admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	for _, x := range open.Sorted() {
		return fmt.Errorf("%s (producer %d) is %s at node %d", x.TxnID, x.ProducerID, x.State, x.Coordinator)
	}
	topics := kadm.TopicsSet{}
	for p := range int32(partitions) {
		topics.Add(output, p)
	}
	if details, err := s.admin.ListTopics(ctx, offsetsTopic); err != nil {
		return err
	} else {
		topics.Merge(details.TopicsSet())
	}
	described, err := s.admin.DescribeProducers(ctx, topics)
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
	stable, err := s.admin.ListCommittedOffsets(ctx, output, offsetsTopic)
	if err != nil {
		return err
	}
	ends, err := s.admin.ListEndOffsets(ctx, output, offsetsTopic)
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

// audit holds what a consumer of committed records reads against the input: want records of each partition. It returns how many records of aborted transactions there are besides.
func (s *story) audit(ctx context.Context, t *testing.T, want [partitions]int64) (aborted int64) {
	t.Helper()
	var next [partitions]int64
	wrong := 0
	s.read(ctx, t, kgo.ReadCommitted(), func(r *kgo.Record) {
		aborted--
		n, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil || n != next[r.Partition] {
			if wrong++; wrong <= 20 {
				t.Errorf("output partition %d, offset %d (producer %d, epoch %d): %q, want %d", r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch, r.Value, next[r.Partition])
			}
		}
		next[r.Partition] = n + 1
	})
	if next != want {
		t.Errorf("the output ends at %v, want %v", next, want)
	}
	if wrong > 0 {
		t.Errorf("%d records are doubled, missing or out of order", wrong)
	}
	s.read(ctx, t, kgo.ReadUncommitted(), func(*kgo.Record) { aborted++ })
	return aborted
}

// read reads the output to its end, where no transaction is open: so the last thing in a partition is a transaction's end.
func (s *story) read(ctx context.Context, t *testing.T, level kgo.IsolationLevel, each func(*kgo.Record)) {
	t.Helper()
	ends, err := s.admin.ListEndOffsets(ctx, output)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	cl := connect(t, s.bootstrap, kgo.ConsumeTopics(output), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	for open := partitions; open > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading the output: %v; %d partitions are not read to their ends", err, open)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(output, r.Partition); r.Offset == end.Offset-1 {
				open--
			}
			if !r.Attrs.IsControl() {
				each(r)
			}
		})
	}
}
