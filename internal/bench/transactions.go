package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactions is mode transact: each of Concurrency producers begins a transaction, writes Batch records to its partition, waits for them, and commits. A transaction is what is counted, and
// latency is that of the commit alone. Everything is read back by a consumer that reads what is committed.
func (r *run) transactions(ctx context.Context) error {
	before, err := r.cluster.EndOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	all := make([]*transactor, r.opts.Concurrency)
	workers := make([]step, len(all))
	o := r.opts
	o.Acks, o.Idempotence = -1, true
	for i := range all {
		t := &transactor{run: r, number: i, partition: int32(i % r.topic.Partitions), batch: make([]*kgo.Record, o.Batch)}
		for k := range t.batch {
			t.batch[k] = &kgo.Record{Value: r.gen.NewPayload(o.MessageSize, uint32(i)<<12+uint32(k))}
		}
		opts := append(o.producerOptions(r.topic.Name, o.Batch), kgo.TransactionalID(fmt.Sprintf("%s-%d", r.topic.Name, i)))
		if t.cl, err = kgo.NewClient(opts...); err != nil {
			return fmt.Errorf("options that the client refuses: %w", err)
		}
		defer t.cl.Close()
		if _, err := t.transact(ctx); err != nil { // the coordinator's topic may have to be made first
			return explain("make a first transaction", err)
		}
		all[i], workers[i] = t, t.transact
	}
	if _, err := r.steps(ctx, workers); err != nil {
		return err
	}
	r.result.Verification, err = r.committed(ctx, all, before)
	return err
}

// transactor is one transactional producer.
type transactor struct {
	run       *run
	number    int
	partition int32
	cl        *kgo.Client
	batch     []*kgo.Record
	sent      int64 // records of committed transactions
}

func (t *transactor) transact(ctx context.Context) (time.Duration, error) {
	if err := t.cl.BeginTransaction(); err != nil {
		return 0, err
	}
	failed := make(chan error, len(t.batch))
	now := time.Now()
	for k, rec := range t.batch {
		value, key := rec.Value, rec.Key[:0]
		sequence := Sequence(t.number, t.sent+int64(k))
		t.run.gen.Stamp(value, sequence, now)
		*rec = kgo.Record{Key: t.run.gen.Key(key, sequence), Value: value, Partition: t.partition, Timestamp: now}
		t.cl.Produce(ctx, rec, func(_ *kgo.Record, err error) { failed <- err })
	}
	if err := t.cl.Flush(ctx); err != nil {
		return 0, err
	}
	for range t.batch {
		if err := <-failed; err != nil {
			return 0, fmt.Errorf("a record of a transaction: %w", err)
		}
	}
	began := time.Now()
	if err := t.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	took := time.Since(began)
	t.sent += int64(len(t.batch))
	return took, nil
}

// committed reads everything back: each producer's records, all of them, once and in order.
func (r *run) committed(ctx context.Context, all []*transactor, before []int64) (*Verification, error) {
	v := &Verification{OK: true, Depth: VerifyFull}
	for _, t := range all {
		v.Counted += t.sent
	}
	from := make(map[int32]kgo.Offset)
	for p, o := range before {
		from[int32(p)] = kgo.NewOffset().At(o)
	}
	cl, err := kgo.NewClient(append(r.opts.baseOptions(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic.Name: from}))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	next := make([]int64, len(all))
	for v.ReadBack < v.Counted && v.OK {
		polled, cancel := context.WithTimeout(ctx, receiveQuiet)
		fetches := cl.PollFetches(polled)
		cancel()
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			v.problem("of %d committed records %d can be read, and no more come", v.Counted, v.ReadBack)
		} else if err != nil {
			return nil, explain("read back what was committed", err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			v.ReadBack++
			r.inOrder(v, rec, all, next)
		})
	}
	for i, t := range all {
		v.Growth += next[i]
		if next[i] != t.sent {
			v.problem("producer %d: %d records committed, %d are there", i, t.sent, next[i])
		}
	}
	v.Note = fmt.Sprintf("%d records of committed transactions; %d read back, each once and in order", v.Counted, v.Growth)
	return v, nil
}

// inOrder checks that a record is the next one of its producer.
func (r *run) inOrder(v *Verification, rec *kgo.Record, all []*transactor, next []int64) {
	p, err := r.gen.Check(rec.Key, rec.Value, r.opts.MessageSize)
	switch i := p.Client(); {
	case err != nil:
		v.problem("partition %d, offset %d: %v", rec.Partition, rec.Offset, err)
	case i >= len(all) || all[i].partition != rec.Partition || p.Number() != next[i]:
		v.problem("partition %d, offset %d: record %d of producer %d is out of place", rec.Partition, rec.Offset, p.Number(), i)
	default:
		next[i]++
	}
}
