package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lookAgain is how long a read waits for records before it asks whether there are any to come.
const lookAgain = 500 * time.Millisecond

// Contents is all that a topic holds.
type Contents struct {
	Spans   map[int32]Span
	Records map[Place][]byte
}

// Span is a partition's log start offset and the offset after its last record.
type Span struct{ Start, End int64 }

// Read reads a whole topic with a client of its own, made by dial with the options that it is given.
func Read(ctx context.Context, dial func(...kgo.Opt) (*kgo.Client, error), topic string) (*Contents, error) {
	cl, err := dial(kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	starts, ends, err := spans(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	c := &Contents{Spans: make(map[int32]Span), Records: make(map[Place][]byte)}
	open := make(map[int32]int64) // partitions not read to their end
	for partition, end := range ends {
		if starts[partition] < end {
			open[partition] = end
		}
	}
	for len(open) > 0 {
		some, cancel := context.WithTimeout(ctx, lookAgain)
		fetches := cl.PollFetches(some)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("reading %s: %d records came, partitions %v are not at their ends: %w", topic, len(c.Records), open, context.Cause(ctx))
		case fetches.NumRecords() > 0:
			fetches.EachRecord(func(r *kgo.Record) {
				c.Records[Place{r.Partition, r.Offset}] = r.Value
				if r.Offset+1 >= open[r.Partition] {
					delete(open, r.Partition)
				}
			})
		case !errors.Is(fetches.Err0(), context.DeadlineExceeded):
			return nil, fmt.Errorf("reading %s: %w", topic, fetches.Err0())
		default: // retention may have deleted what was still to come
			if starts, _, err = spans(ctx, cl, topic); err != nil {
				return nil, err
			}
			maps.DeleteFunc(open, func(partition int32, end int64) bool { return starts[partition] >= end })
		}
	}
	// Retention may have moved a start since; the records before it are neither here nor owed.
	if starts, _, err = spans(ctx, cl, topic); err != nil {
		return nil, err
	}
	for partition, end := range ends {
		c.Spans[partition] = Span{starts[partition], end}
	}
	return c, nil
}

// spans lists where the partitions of a topic start and end.
func spans(ctx context.Context, cl *kgo.Client, topic string) (starts, ends map[int32]int64, err error) {
	starts, ends = make(map[int32]int64), make(map[int32]int64)
	adm := kadm.NewClient(cl)
	for _, q := range []struct {
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		into map[int32]int64
	}{{adm.ListStartOffsets, starts}, {adm.ListEndOffsets, ends}} {
		listed, err := q.list(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("listing the offsets of %s: %w", topic, err)
		}
		listed.Each(func(o kadm.ListedOffset) { q.into[o.Partition] = o.Offset })
	}
	return starts, ends, nil
}
