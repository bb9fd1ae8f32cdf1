// Command franzgo is the conformance driver of github.com/twmb/franz-go.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

const profile = "3kevhdnt"

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
	opts  []kgo.Opt
}{
	{"none", kgo.NoCompression(), nil},
	{"gzip", kgo.GzipCompression(), []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.MaxProduceRequestsInflightPerBroker(1)}},
	{"snappy", kgo.SnappyCompression(), nil},
	{"lz4", kgo.Lz4Compression(), []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxProduceRequestsInflightPerBroker(1)}},
	{"zstd", kgo.ZstdCompression(), nil},
}

func main() { driver.Main(own, read, driver.Stage{Name: "failover", Run: failover}) }

func own(e *driver.Env) {
	for _, c := range codecs {
		t := dataset.MustParse(dataset.Name(e.Client, c.name, profile))
		opts := append([]kgo.Opt{kgo.ProducerBatchCompression(c.codec)}, c.opts...)
		if e.Check("produce/"+c.name, func(ctx context.Context) error { return produce(ctx, e, t, opts) }) {
			e.Wrote(t.Name)
			e.Check("read/"+c.name, func(ctx context.Context) error { return read(ctx, e, t) })
		}
	}
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	e.Check("seek-timestamp", func(ctx context.Context) error { return seekTimestamp(ctx, e, t) })
	e.Check("list-offsets", func(ctx context.Context) error { return listOffsets(ctx, e, t) })
	e.Check("offset-for-leader-epoch", func(ctx context.Context) error { return leaderEpoch(ctx, e, t) })
	groups(e, t)
	e.Check("transactional-copy", func(ctx context.Context) error { return transactionalCopy(ctx, e, t) })
	producing(e)
	admin(e)
}

func client(e *driver.Env, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(e.Servers()...)}, opts...)...)
}

// create makes a topic whose records, old by their timestamps, are not deleted by age.
func create(ctx context.Context, c *kgo.Client, partitions int32, topic string) error {
	keep := "-1"
	_, err := kadm.NewClient(c).CreateTopic(ctx, partitions, driver.Replicas, map[string]*string{"retention.ms": &keep}, topic)
	return err
}

// ready waits until the new topic has its leaders: with acks=0 nothing retries.
func ready(ctx context.Context, c *kgo.Client, topic string) error {
	for {
		got, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
		if err == nil && got.Error() == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no leader of %s: %w", topic, errors.Join(err, got.Error()))
		}
	}
}

func produce(ctx context.Context, e *driver.Env, t dataset.Topic, opts []kgo.Opt) error {
	c, err := client(e, append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := create(ctx, c, t.Partitions, t.Name); err != nil {
		return err
	}
	if err := ready(ctx, c, t.Name); err != nil {
		return err
	}
	failed := kgo.AbortingFirstErrPromise(c)
	for i := range e.Records {
		r := toKgo(t, t.Record(i))
		c.Produce(ctx, r, failed.Promise())
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	return failed.Err()
}

func toKgo(t dataset.Topic, r dataset.Record) *kgo.Record {
	out := &kgo.Record{Topic: t.Name, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: msTime(r.TimestampMs)}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func fromKgo(r *kgo.Record) dataset.Record {
	out := dataset.Record{Partition: r.Partition, Offset: r.Offset, TimestampMs: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, dataset.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// consume polls the client until take says that it has enough.
func consume(ctx context.Context, c *kgo.Client, take func(*kgo.Record) (enough bool)) error {
	for {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		enough := false
		fetches.EachRecord(func(r *kgo.Record) { enough = enough || take(r) })
		if enough {
			return nil
		}
	}
}

func assigned(e *driver.Env, t dataset.Topic, at func(p int32) kgo.Offset) (*kgo.Client, error) {
	offsets := map[int32]kgo.Offset{}
	for p := range t.Partitions {
		offsets[p] = at(p)
	}
	return client(e, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.Name: offsets}))
}

func read(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	c, err := assigned(e, t, func(int32) kgo.Offset { return kgo.NewOffset().AtStart() })
	if err != nil {
		return err
	}
	defer c.Close()
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	err = consume(ctx, c, func(r *kgo.Record) bool { v.Add(fromKgo(r)); return v.Done() })
	if bad := v.Err(); bad != nil {
		return bad
	}
	return err
}

// seekTimestamp starts each partition at a moment in the middle and expects the first record at or after it.
func seekTimestamp(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	middle := dataset.TimestampMs(e.Records/2) - 1
	c, err := assigned(e, t, func(int32) kgo.Offset { return kgo.NewOffset().AfterMilli(middle) })
	if err != nil {
		return err
	}
	defer c.Close()
	first := map[int32]int64{}
	err = consume(ctx, c, func(r *kgo.Record) bool {
		if _, seen := first[r.Partition]; !seen {
			first[r.Partition] = r.Offset
		}
		return len(first) == int(t.Partitions)
	})
	if err != nil {
		return err
	}
	for p, got := range first {
		if want := t.FirstAtOrAfter(p, middle, e.Records); got != want {
			return fmt.Errorf("partition %d starts at offset %d, want %d", p, got, want)
		}
	}
	return nil
}

func listOffsets(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	a := kadm.NewClient(c)
	middle := dataset.TimestampMs(e.Records / 2)
	for _, ask := range []struct {
		name string
		list func() (kadm.ListedOffsets, error)
		want func(p int32) (offset, ms int64)
	}{
		{"earliest", func() (kadm.ListedOffsets, error) { return a.ListStartOffsets(ctx, t.Name) },
			func(int32) (int64, int64) { return 0, -1 }},
		{"latest", func() (kadm.ListedOffsets, error) { return a.ListEndOffsets(ctx, t.Name) },
			func(p int32) (int64, int64) { return t.Count(p, e.Records), -1 }},
		{"committed", func() (kadm.ListedOffsets, error) { return a.ListCommittedOffsets(ctx, t.Name) },
			func(p int32) (int64, int64) { return t.Count(p, e.Records), -1 }},
		{"max timestamp", func() (kadm.ListedOffsets, error) { return a.ListMaxTimestampOffsets(ctx, t.Name) },
			func(p int32) (int64, int64) { return t.MaxTimestamp(p, e.Records) }},
		{"by time", func() (kadm.ListedOffsets, error) { return a.ListOffsetsAfterMilli(ctx, middle, t.Name) },
			func(p int32) (int64, int64) {
				o := t.FirstAtOrAfter(p, middle, e.Records)
				return o, t.At(p, o).TimestampMs
			}},
	} {
		got, err := ask.list()
		if err != nil {
			return fmt.Errorf("%s: %w", ask.name, err)
		}
		for p := range t.Partitions {
			o, ok := got.Lookup(t.Name, p)
			if !ok || o.Err != nil {
				return fmt.Errorf("%s: partition %d: there %v, %v", ask.name, p, ok, o.Err)
			}
			if off, ms := ask.want(p); o.Offset != off || o.Timestamp != ms {
				return fmt.Errorf("%s: partition %d: offset %d at %d, want %d at %d", ask.name, p, o.Offset, o.Timestamp, off, ms)
			}
		}
	}
	return nil
}

func leaderEpoch(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	var ask kadm.OffsetForLeaderEpochRequest
	ask.Add(t.Name, 0, 0)
	got, err := kadm.NewClient(c).OffetForLeaderEpoch(ctx, ask)
	if err != nil {
		return err
	}
	o := got[t.Name][0]
	if o.Err != nil {
		return o.Err
	}
	return driver.Want("end of epoch 0", o.EndOffset, t.Count(0, e.Records))
}
