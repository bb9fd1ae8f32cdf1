package api

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/wal"
	"chronik/internal/wire"
)

// Produce (0), versions 3 to 13 (0 to 2 are advertised because librdkafka looks for them, KAFKA-18659, and
// answered UNSUPPORTED_VERSION). Version 7 allows zstd, 8 carries record errors (KIP-467), 13 topic IDs.
//
// There is one pipeline for every acks: check, append, answer. acks=0 is answered by nothing once its
// batches are queued, acks=1 when they are durable here, acks=-1 when they are below the high watermark, which
// with an ISR of one is the same moment (D1). Appending never waits for the disk, so that the requests
// behind this one on the connection join the same group commit.
func (b *Broker) produce(req *server.Request, slot *server.Slot) {
	in := produceRequests.Get().(*produceRequest)
	defer in.recycle()
	if err := in.Decode(req.Version, req.Body, &in.names); err != nil {
		slot.Close(err)
		return
	}
	p := newProducing(&in.ProduceRequest, slot)
	p.inline = req.Alone && p.acks != 0 && cap(p.waiters) == 1 && len(req.Body) <= inlineBytes
	refusal := refuseAll(&in.ProduceRequest)
	nowMs := req.Received.UnixMilli()
	for t := range in.Topics {
		topic, out := &in.Topics[t], p.resp.Topics[t].Partitions
		name, err := topic.Name, refusal
		if req.Version >= 13 && err == nil {
			name, err = b.topicName(topic.ID)
		}
		for i := range topic.Partitions {
			part := &topic.Partitions[i]
			out[i].Partition = part.Partition
			if err != nil {
				p.refuse(&out[i], err)
				continue
			}
			b.append(p, req, model.TopicPartition{Topic: name, Partition: part.Partition}, part.Records, &out[i], nowMs)
		}
	}
	p.settle() // the share that this call held
}

// inlineBytes is up to which size a request may commit its batch in the reader's goroutine: the next one of a bulk
// producer is already on its way.
const inlineBytes = 16 << 10

// produceRequest is a decoded request, and the topic names that came before: they recur.
type produceRequest struct {
	wire.ProduceRequest
	names wire.Interner
}

// produceRequests holds decoded requests for the next to come: what outlives produce is in producing.
var produceRequests = sync.Pool{New: func() any { return new(produceRequest) }}

func (in *produceRequest) recycle() {
	in.Reset()
	produceRequests.Put(in)
}

// refuseAll is what is wrong with the request as a whole; it becomes every partition's error.
func refuseAll(in *wire.ProduceRequest) error {
	switch {
	case in.Version < wire.ProduceMinWorking:
		return errUnsupportedVersion
	case in.Acks < -1 || in.Acks > 1:
		return errInvalidAcks
	case in.IsTransactional:
		return errTransactional
	}
	return nil
}

// append admits one partition's batch and places it in the log. What comes of it is told to the partition's
// waiter, or here if it was refused.
func (b *Broker) append(p *producing, req *server.Request, tp model.TopicPartition, records []byte, out *kmsg.ProduceResponseTopicPartition, nowMs int64) {
	r, err := b.partition(tp)
	if err != nil {
		p.refuse(out, err)
		return
	}
	policy := r.Policy()
	batch, err := policy.Admit(records, nowMs)
	if err == nil {
		err = admitVersion(batch, req.Version)
	}
	if err != nil {
		p.refuse(out, err)
		return
	}
	var w wal.Waiter
	if p.acks != 0 {
		w = p.waiter(out)
	}
	placed, err := r.Append(batch, req.Frame, w, p.inline)
	if err != nil {
		if w != nil {
			p.open.Add(-1) // the log keeps no waiter of a batch that it refused
		}
		p.refuse(out, err)
		return
	}
	out.BaseOffset, out.LogStartOffset = int64(placed.BaseOffset), int64(placed.LogStart)
	if policy.LogAppendTime {
		out.LogAppendTime = batch.MaxTimestamp()
	}
}

// admitVersion refuses what the version of the request could not have meant.
func admitVersion(batch record.Batch, version int16) error {
	if batch.IsTransactional() {
		return errTransactional
	}
	if batch.Codec() == compress.Zstd && version < 7 {
		return errCodecVersion
	}
	return nil
}

// producing is one Produce request on its way: the response that it builds, and how many of its partitions
// are still to be settled, plus one while the request is being taken apart.
type producing struct {
	slot    *server.Slot
	resp    *kmsg.ProduceResponse
	acks    int16
	inline  bool // the commit may be done here: one partition, and the client sends nothing before the answer
	open    atomic.Int32
	waiters []partitionWaiter
	failed  error // the first refusal, for acks=0; only the reader's goroutine writes it
}

func newProducing(in *wire.ProduceRequest, slot *server.Slot) *producing {
	p := &producing{slot: slot, acks: in.Acks}
	p.resp = &kmsg.ProduceResponse{Version: in.Version, Topics: make([]kmsg.ProduceResponseTopic, len(in.Topics))}
	partitions := 0
	for i := range in.Topics {
		t := &in.Topics[i]
		out := &p.resp.Topics[i]
		out.Topic, out.TopicID = t.Name, t.ID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for j := range out.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].BaseOffset = int64(model.NoOffset)
		}
		partitions += len(t.Partitions)
	}
	p.waiters = make([]partitionWaiter, 0, partitions) // never grows: the log holds pointers into it
	p.open.Store(1)
	return p
}

// partitionWaiter is told by the log what became of one partition's batch.
type partitionWaiter struct {
	of  *producing
	out *kmsg.ProduceResponseTopicPartition
}

// waiter registers one more partition to wait for.
func (p *producing) waiter(out *kmsg.ProduceResponseTopicPartition) *partitionWaiter {
	p.waiters = append(p.waiters, partitionWaiter{of: p, out: out})
	p.open.Add(1)
	return &p.waiters[len(p.waiters)-1]
}

// Done implements wal.Waiter.
func (w *partitionWaiter) Done(err error) {
	if err != nil {
		w.out.ErrorCode, w.out.ErrorMessage = Code(err), message(err)
	}
	w.of.settle()
}

// refuse answers one partition without the log.
func (p *producing) refuse(out *kmsg.ProduceResponseTopicPartition, err error) {
	out.ErrorCode, out.ErrorMessage = Code(err), message(err)
	if bad := new(record.RecordError); errors.As(err, &bad) {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = int32(bad.Index), message(bad.Err)
		out.ErrorRecords = append(out.ErrorRecords, e)
	}
	if p.failed == nil {
		p.failed = err
	}
}

// settle counts one share down; the last one answers.
func (p *producing) settle() {
	if p.open.Add(-1) == 0 {
		p.answer()
	}
}

// answer completes the slot. With acks=0 there is no reply to carry a refusal, so it closes the connection,
// from which the client learns to refresh its metadata (E1).
func (p *producing) answer() {
	switch {
	case p.acks != 0:
		p.dropFailedOffsets()
		p.slot.Send(p.resp)
	case p.failed != nil:
		p.slot.Close(fmt.Errorf("Produce with acks=0 was refused: %w", p.failed))
	default:
		p.slot.None()
	}
}

// dropFailedOffsets takes back what was said of batches that failed after they were placed.
func (p *producing) dropFailedOffsets() {
	for i := range p.resp.Topics {
		parts := p.resp.Topics[i].Partitions
		for j := range parts {
			if parts[j].ErrorCode != 0 {
				parts[j].BaseOffset, parts[j].LogAppendTime, parts[j].LogStartOffset = -1, -1, -1
			}
		}
	}
}
