package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// transactionalCopy: a loop copies a data set to another topic, a few hundred records and the offsets that they came from in one transaction. Every third
// transaction is aborted, and done again; one is left open by a producer whose successor has the same ID. A consumer of committed records finds each
// record once, in order, unchanged.
func transactionalCopy(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	to := t
	to.Name = e.Topic("copy")
	if err := create(e, to.Name, to.Partitions); err != nil {
		return err
	}
	if err := ready(e, to); err != nil {
		return err
	}
	l := &loop{e: e, from: t, to: to.Name, group: "group-" + e.Client + "-copy"}
	defer func() {
		for _, p := range l.gone {
			_ = p.Close() // fenced
		}
	}()
	for l.copied < e.Records {
		if err := l.live(ctx); err != nil {
			return fmt.Errorf("after %d records: %w", l.copied, err)
		}
	}
	if err := l.verify(ctx); err != nil {
		return err
	}
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		return driver.Soon(func() error { // a commit is answered when it is decided
			at, err := a.ListConsumerGroupOffsets(l.group, map[string][]int32{t.Name: {0, 1, 2}})
			if err != nil {
				return err
			}
			for p := range t.Partitions {
				err = errors.Join(err, driver.Want(fmt.Sprintf("what is committed of partition %d", p), at.GetBlock(t.Name, p).Offset, t.Count(p, e.Records)))
			}
			return err
		})
	})
}

// A loop is a member whose partitions' records are copied one batch at a time: a producer has one transaction.
type loop struct {
	e         *driver.Env
	from      dataset.Topic
	to, group string
	gone      []sarama.SyncProducer // that left a transaction open

	turn                 sync.Mutex // one partition's batch after the other; guards what follows
	producer             sarama.SyncProducer
	transactions, copied int
	over                 bool // nothing more to do, in this life
	err                  error
	stop                 context.CancelFunc
}

// live is one incarnation, until all is copied or it goes in the midst of a transaction.
func (l *loop) live(ctx context.Context) error {
	conf := config()
	conf.Producer.Idempotent, conf.Producer.RequiredAcks, conf.Producer.Transaction.ID = true, sarama.WaitForAll, l.to
	conf.Consumer.Offsets.Initial, conf.Consumer.Offsets.AutoCommit.Enable, conf.Consumer.IsolationLevel = sarama.OffsetOldest, false, sarama.ReadCommitted
	var err error
	if l.producer, err = sarama.NewSyncProducer(l.e.Servers(), conf); err != nil {
		return err
	}
	for _, p := range l.gone {
		if err := p.CommitTxn(); err == nil {
			return errors.New("a producer committed after its successor had begun")
		}
	}
	g, err := sarama.NewConsumerGroup(l.e.Servers(), l.group, conf)
	if err != nil {
		return err
	}
	ctx, l.stop = context.WithCancel(ctx)
	defer l.stop()
	l.over = false
	for !l.over && ctx.Err() == nil && err == nil { // Consume returns at each rebalance
		err = g.Consume(ctx, []string{l.from.Name}, l)
	}
	err = errors.Join(err, l.err, g.Close())
	if err == nil && !l.over {
		return ctx.Err()
	}
	if l.copied < l.e.Records {
		l.gone = append(l.gone, l.producer)
		return err
	}
	return errors.Join(err, l.producer.Close())
}

// Setup implements sarama.ConsumerGroupHandler.
func (l *loop) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (l *loop) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler: it is called for each partition, at the same time.
func (l *loop) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case first, ok := <-claim.Messages():
			if !ok || !l.take(s, l.batch(first, claim)) {
				return nil
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

// batch is what is there already.
func (l *loop) batch(first *sarama.ConsumerMessage, claim sarama.ConsumerGroupClaim) []*sarama.ConsumerMessage {
	batch := []*sarama.ConsumerMessage{first}
	for len(batch) < max(l.e.Records/20, 1) {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// take copies a batch, and says whether there is more to do.
func (l *loop) take(s sarama.ConsumerGroupSession, batch []*sarama.ConsumerMessage) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.over || s.Context().Err() != nil {
		return false
	}
	if l.over, l.err = l.copy(s, batch); l.err != nil {
		l.over = true
	}
	if l.over {
		l.stop()
	}
	return !l.over
}

// copy tries until a transaction commits, or says that it is over with one open.
func (l *loop) copy(s sarama.ConsumerGroupSession, batch []*sarama.ConsumerMessage) (over bool, err error) {
	member := sarama.NewConsumerGroupMetadataFromSession(s, l.group, nil)
	for {
		if err := l.producer.BeginTxn(); err != nil {
			return true, err
		}
		var out []*sarama.ProducerMessage
		for _, m := range batch {
			r := toSarama(l.from, fromSarama(m))
			r.Topic = l.to
			out = append(out, r)
		}
		if err := l.producer.SendMessages(out); err != nil {
			return true, err
		}
		if err := l.producer.AddMessageToTxnWithGroupMetadata(batch[len(batch)-1], member, nil); err != nil {
			return true, err
		}
		l.transactions++
		const goes = 5
		switch {
		case l.transactions == goes:
			return true, nil
		case l.transactions%3 == 0:
			if err := l.producer.AbortTxn(); err != nil {
				return true, err
			}
		default:
			if err := l.producer.CommitTxn(); err != nil {
				return true, err
			}
			l.copied += len(batch)
			return l.copied >= l.e.Records, nil
		}
	}
}

// verify reads what is committed, of each partition up to a record that comes after everything.
func (l *loop) verify(ctx context.Context) error {
	p, err := sarama.NewSyncProducer(l.e.Servers(), config())
	if err != nil {
		return err
	}
	defer p.Close()
	const end = "the end"
	v := dataset.NewVerifier(l.from, l.e.Records, dataset.Options{})
	for n := range l.from.Partitions {
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: l.to, Partition: n, Key: sarama.StringEncoder(end)}); err != nil {
			return err
		}
		next := int64(0)
		if err := consume(ctx, l.e, l.to, n, sarama.OffsetOldest, func(m *sarama.ConsumerMessage) bool {
			if string(m.Key) == end {
				return true
			}
			got := fromSarama(m)
			got.Offset = next // of the original: markers and what was aborted lie between the copies
			next++
			v.Add(got)
			return false
		}, func(conf *sarama.Config) { conf.Consumer.IsolationLevel = sarama.ReadCommitted }); err != nil {
			return err
		}
	}
	return v.Err()
}
