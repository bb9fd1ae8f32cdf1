package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// old is how long ago the late record was made: longer than the 15 minutes that any transaction may take by default.
const old = time.Hour

// A lateProducer is a client of the time before KIP-890. It speaks for itself: no client library loses its way like this.
type lateProducer struct {
	client    *kgo.Client
	id, topic string
	producer  int64
	epoch     int16
	sequence  int32
}

// beforeVerification are the versions that such a client speaks: it tells the coordinator of each partition before it produces there.
func beforeVerification() *kversion.Versions {
	v := kversion.Stable()
	for _, of := range []struct {
		request kmsg.Request
		max     int16
	}{{kmsg.NewPtrProduceRequest(), 9}, {kmsg.NewPtrInitProducerIDRequest(), 4}, {kmsg.NewPtrAddPartitionsToTxnRequest(), 3}, {kmsg.NewPtrEndTxnRequest(), 3}} {
		v.SetMaxKeyVersion(of.request.Key(), of.max)
	}
	return v
}

// hangingTransaction: a record comes to a partition after its transaction has ended, as could happen before brokers verified with the coordinator, here
// because they are told not to. Nobody will ever end it, and consumers of committed records are stuck, until an operator finds and aborts it.
func hangingTransaction(ctx context.Context, e *driver.Env) error {
	c, err := client(e, kgo.MaxVersions(beforeVerification()))
	if err != nil {
		return err
	}
	defer c.Close()
	p := &lateProducer{client: c, id: e.Topic("hanging"), topic: e.Topic("hanging")}
	if err := create(ctx, c, p.topic, 1); err != nil {
		return err
	}
	if err := p.commit(ctx); err != nil {
		return err
	}
	err = driver.WantError(p.send(ctx), "INVALID_TXN_STATE")
	if err != nil {
		return fmt.Errorf("a record after its transaction: %w", err)
	}
	if err := verification(ctx, c, "false"); err != nil {
		return err
	}
	defer func() { _ = verification(context.WithoutCancel(ctx), c, "") }()
	if err := driver.Soon(func() error { return p.send(ctx) }); err != nil {
		return err
	}
	return errors.Join(p.find(ctx, e), verification(ctx, c, ""))
}

// find does what an operator does.
func (p *lateProducer) find(ctx context.Context, e *driver.Env) error {
	a := kadm.NewClient(p.client)
	stable, end, err := p.ends(ctx, a)
	if err != nil {
		return err
	}
	if stable >= end {
		return fmt.Errorf("no transaction is open: stable up to %d of %d", stable, end)
	}
	leader, err := p.leader(ctx, a)
	if err != nil {
		return err
	}
	row := fmt.Sprintf(`(?m)^%s\s+0\s+%d\s+%d\s+-?\d+\s+%d\s+\d{13}\s+60\s*$`, regexp.QuoteMeta(p.topic), p.producer, p.epoch, stable)
	for _, scope := range [][]string{{"--topic", p.topic}, {"--broker-id", fmt.Sprint(leader)}} {
		out, err := transactionTool(ctx, e, append([]string{"find-hanging"}, scope...)...)
		if err := jvm.WantMatch(out, err, row); err != nil {
			return err
		}
	}
	if out, err := transactionTool(ctx, e, "abort", "--topic", p.topic, "--partition", "0", "--start-offset", fmt.Sprint(stable)); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := driver.Soon(func() error {
		stable, end, err := p.ends(ctx, a)
		return errors.Join(err, driver.Want("the end of what is stable after the abort", stable, end))
	}); err != nil {
		return err
	}
	out, err := transactionTool(ctx, e, "find-hanging", "--topic", p.topic)
	if err == nil && regexp.MustCompile(`(?m)^`+p.topic).MatchString(out) {
		err = fmt.Errorf("it still hangs after it was aborted: %s", out)
	}
	return err
}

func (p *lateProducer) ends(ctx context.Context, a *kadm.Client) (stable, end int64, err error) {
	ends, err := a.ListEndOffsets(ctx, p.topic)
	if err != nil {
		return 0, 0, err
	}
	committed, err := a.ListCommittedOffsets(ctx, p.topic)
	if err != nil {
		return 0, 0, err
	}
	return committed[p.topic][0].Offset, ends[p.topic][0].Offset, errors.Join(ends.Error(), committed.Error())
}

func (p *lateProducer) leader(ctx context.Context, a *kadm.Client) (int32, error) {
	m, err := a.Metadata(ctx, p.topic)
	if err != nil {
		return 0, err
	}
	return m.Topics[p.topic].Partitions[0].Leader, nil
}

// commit begins a transaction with one record, and returns when it is committed and its marker written.
func (p *lateProducer) commit(ctx context.Context) error {
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis, begin.ProducerID, begin.ProducerEpoch = &p.id, 60_000, -1, -1
	got, err := begin.RequestWith(ctx, p.client)
	if err == nil {
		err = kerr.ErrorForCode(got.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("InitProducerId: %w", err)
	}
	p.producer, p.epoch = got.ProducerID, got.ProducerEpoch
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = p.id, p.producer, p.epoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: p.topic, Partitions: []int32{0}}}
	if added, err := add.RequestWith(ctx, p.client); err != nil {
		return err
	} else if err := kerr.ErrorForCode(added.Topics[0].Partitions[0].ErrorCode); err != nil {
		return fmt.Errorf("AddPartitionsToTxn: %w", err)
	}
	if err := driver.Soon(func() error { return p.send(ctx) }); err != nil { // the topic's leader may not know yet
		return err
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = p.id, p.producer, p.epoch, true
	if ended, err := end.RequestWith(ctx, p.client); err != nil {
		return err
	} else if err := kerr.ErrorForCode(ended.ErrorCode); err != nil {
		return fmt.Errorf("EndTxn: %w", err)
	}
	a := kadm.NewClient(p.client)
	return driver.Soon(func() error {
		stable, end, err := p.ends(ctx, a)
		return errors.Join(err, driver.Want("the end", end, 2), driver.Want("the end of what is stable", stable, 2))
	})
}

// send produces one record.
func (p *lateProducer) send(ctx context.Context) error {
	records := p.batch()
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &p.id, -1, 10_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = records
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = p.topic, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{topic}
	leader, err := p.leader(ctx, kadm.NewClient(p.client))
	if err != nil {
		return err
	}
	got, err := req.RequestWith(ctx, p.client.Broker(int(leader)))
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(got.Topics[0].Partitions[0].ErrorCode); err != nil {
		return err
	}
	p.sequence++
	return nil
}

func (p *lateProducer) batch() []byte {
	r := kmsg.NewRecord()
	r.Value = []byte("a value")
	body := r.AppendTo(nil)
	r.Length = int32(len(body) - 1) // that of a record this short is one byte
	body = r.AppendTo(nil)
	const transactional = 1 << 4
	ms := time.Now().Add(-old).UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: transactional, FirstTimestamp: ms, MaxTimestamp: ms,
		ProducerID: p.producer, ProducerEpoch: p.epoch, FirstSequence: p.sequence, NumRecords: 1, Records: body,
	}
	const sized, summed = 12, 21 // where what Length counts begins, and what the checksum covers
	b.Length = int32(len(b.AppendTo(nil)) - sized)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[summed:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// verification sets whether brokers ask a transaction's coordinator before they take its first record; empty for the default, which is true.
func verification(ctx context.Context, c *kgo.Client, value string) error {
	op := kadm.AlterConfig{Op: kadm.SetConfig, Name: "transaction.partition.verification.enable", Value: &value}
	if value == "" {
		op = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: op.Name}
	}
	got, err := kadm.NewClient(c).AlterBrokerConfigs(ctx, []kadm.AlterConfig{op})
	if err != nil {
		return err
	}
	return got[0].Err
}
