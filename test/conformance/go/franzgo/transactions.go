package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// transactionalCopy: a loop copies a data set to another topic, a few hundred records and the offsets that they came from in one transaction. Every third
// transaction is aborted, and its records are read again; one is left open by a process that goes, and whose successor has the same ID. A consumer of
// committed records finds each record once, in order, unchanged.
func transactionalCopy(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	to := e.Topic("copy")
	admin, err := client(e)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := create(ctx, admin, t.Partitions, to); err != nil {
		return err
	}
	l := &loop{e: e, from: t, to: to}
	for l.copied < e.Records {
		if err := l.live(ctx); err != nil {
			return fmt.Errorf("after %d records: %w", l.copied, err)
		}
	}
	if err := l.verify(ctx); err != nil {
		return err
	}
	at, err := kadm.NewClient(admin).FetchOffsets(kadm.RequireStable(ctx), groupName(e, "copy"))
	if err != nil {
		return err
	}
	for p := range t.Partitions {
		if o, ok := at.Lookup(t.Name, p); !ok || o.At != t.Count(p, e.Records) {
			return fmt.Errorf("committed of partition %d is %+v, want %d", p, o, t.Count(p, e.Records))
		}
	}
	return nil
}

type loop struct {
	e            *driver.Env
	from         dataset.Topic
	to           string
	transactions int
	copied       int
}

// live is one incarnation, until all is copied or it goes in the midst of a transaction.
func (l *loop) live(ctx context.Context) error {
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(l.e.Servers()...), kgo.TransactionalID(l.to), kgo.ConsumerGroup(groupName(l.e, "copy")),
		kgo.ConsumeTopics(l.from.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer s.Close()
	for l.copied < l.e.Records {
		fetches := s.PollRecords(ctx, max(l.e.Records/20, 1))
		if err := fetches.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		failed := kgo.AbortingFirstErrPromise(s.Client())
		fetches.EachRecord(func(r *kgo.Record) {
			s.Produce(ctx, &kgo.Record{Topic: l.to, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}, failed.Promise())
		})
		if err := s.Client().Flush(ctx); err != nil {
			return err
		}
		if err := failed.Err(); err != nil {
			return err
		}
		l.transactions++
		const goes = 5
		if l.transactions == goes {
			return nil
		}
		committed, err := s.End(ctx, l.transactions%3 != 0)
		if err != nil {
			return err
		}
		if committed {
			l.copied += fetches.NumRecords()
		}
	}
	return nil
}

// verify reads what is committed up to a record that comes after everything.
func (l *loop) verify(ctx context.Context) error {
	all := map[int32]kgo.Offset{}
	for p := range l.from.Partitions {
		all[p] = kgo.NewOffset().AtStart()
	}
	c, err := client(l.e, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.to: all}), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer c.Close()
	const end = "the end"
	for p := range l.from.Partitions {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: l.to, Partition: p, Key: []byte(end)}).FirstErr(); err != nil {
			return err
		}
	}
	v := dataset.NewVerifier(l.from, l.e.Records, dataset.Options{})
	next, ends := make([]int64, l.from.Partitions), int32(0)
	if err := consume(ctx, c, func(r *kgo.Record) bool {
		if string(r.Key) == end {
			ends++
			return ends == l.from.Partitions
		}
		got := fromKgo(r)
		got.Offset = next[r.Partition] // of the original: markers and what was aborted lie between the copies
		next[r.Partition]++
		v.Add(got)
		return false
	}); err != nil {
		return err
	}
	return v.Err()
}
