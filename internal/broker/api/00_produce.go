package api

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/replica"
	"chronik/internal/wire"
)

// Produce (0), versions 3 to 13 (0 to 2 are advertised because librdkafka looks for them, KAFKA-18659, and
// answered UNSUPPORTED_VERSION). Version 7 allows zstd, 8 carries record errors (KIP-467), 10 tells
// who leads instead (KIP-951), 13 has topic IDs.
//
// There is one pipeline for every acks: check, append, answer. acks=0 is answered by nothing once its
// batches are queued, acks=1 when they are durable here, acks=-1 when they are below the high watermark, which
// with an ISR of one is the same moment (D1), or at the request's timeout, with REQUEST_TIMED_OUT for the partitions
// that are not there yet. Appending never waits for the disk, so that the requests behind this one on the connection join
// the same group commit.
func (b *Broker) produce(req *server.Request, slot *server.Slot) {
	p := producings.Get().(*producing)
	in := &p.in
	if err := in.Decode(req.Version, req.Body, &p.names); err != nil {
		p.Release()
		slot.Close(err)
		return
	}
	p.begin(slot)
	p.broker, p.listener = b, req.Conn.Listener()
	p.inline = req.Alone && in.Acks != 0 && cap(p.waiters) == 1 && len(req.Body) <= inlineBytes
	refusal := refuseAll(in)
	nowMs := req.Received.UnixMilli()
	for t := range in.Topics {
		topic, out := &in.Topics[t], p.resp.Topics[t].Partitions
		name, err := topic.Name, refusal
		if req.Version >= 13 && err == nil {
			name, err = b.topicName(topic.ID)
		}
		for i := range topic.Partitions {
			if err != nil {
				p.refuse(&out[i], err)
				continue
			}
			r, err := b.target(name, topic.ID, out[i].Partition)
			if err != nil {
				p.refuse(&out[i], err)
				continue
			}
			b.append(p, req, r, topic.Partitions[i].Records, &out[i], nowMs)
		}
	}
	if in.Acks == -1 && p.open.Load() > 1 {
		p.limit(b.Replicas.Deadlines(), req.Received)
	}
	p.settle() // the share that this call held
}

// inlineBytes is up to which size a request may commit its batch in the reader's goroutine: the next one of a bulk
// producer is already on its way.
const inlineBytes = 16 << 10

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

// target finds a partition of the request. A topic that was named by its ID may have been deleted, and created again
// under its name, since the name was looked up: then it is another one (L5).
func (b *Broker) target(topic string, id model.TopicID, partition int32) (*replica.Replica, error) {
	r, err := b.partition(model.TopicPartition{Topic: topic, Partition: partition})
	if err == nil && !id.IsZero() && r.TopicID() != id {
		return nil, errUnknownTopicID
	}
	return r, err
}

// append admits one partition's batch and places it in the log. What comes of it is told to the partition's
// waiter, or here if it was refused.
func (b *Broker) append(p *producing, req *server.Request, r *replica.Replica, records []byte, out *wire.ProduceResponsePartition, nowMs int64) {
	policy := r.Policy()
	batch, err := policy.Admit(records, nowMs)
	if err == nil {
		err = admitVersion(batch, req.Version)
	}
	if err != nil {
		p.refuse(out, err)
		return
	}
	if policy.LogAppendTime {
		out.LogAppendTimeMs = batch.MaxTimestamp()
	}
	w := p.waiter(out)
	placed, err := r.Append(replica.Append{Batch: batch, Owner: req.Frame, Acks: p.in.Acks, Waiter: w, Inline: p.inline})
	if err != nil {
		p.refuse(out, err)
		w.told.Store(true)
		p.open.Add(-1) // the log keeps no waiter of a batch that it refused
		return
	}
	out.BaseOffset, out.LogStartOffset = placed.BaseOffset, placed.LogStart
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

// producing is one Produce request on its way: what was decoded, the response that it builds, and how many of its
// partitions are still to be settled, plus one while the request is being taken apart. It is used again when its reply
// has left.
type producing struct {
	slot     *server.Slot
	broker   *Broker
	listener string // that the client came in by
	in       wire.ProduceRequest
	names    wire.Interner // topic names recur
	resp     wire.ProduceResponse
	parts    []wire.ProduceResponsePartition // what the response's topics point into
	waiters  []partitionWaiter
	open     atomic.Int32
	inline   bool // the commit may be done here: one partition, and the client sends nothing before the answer

	deadlines *replica.Deadlines // that end it; nil: none
	deadline  replica.Deadline
	expired   bool // waiters may still be told, for nothing: the memory is not used again
}

var producings = sync.Pool{New: func() any { return new(producing) }}

// keepPartitions is the most partitions whose memory is used again.
const keepPartitions = 256

// begin lays the response out: the log will hold pointers into it, so nothing of it grows later.
func (p *producing) begin(slot *server.Slot) {
	p.slot = slot
	n := 0
	for i := range p.in.Topics {
		n += len(p.in.Topics[i].Partitions)
	}
	if cap(p.parts) < n || cap(p.waiters) != n {
		p.parts, p.waiters = make([]wire.ProduceResponsePartition, n), make([]partitionWaiter, 0, n)
	}
	p.parts, p.waiters = p.parts[:n], p.waiters[:0]
	p.deadlines = nil
	p.resp.Version, p.resp.Topics, p.resp.Endpoints = p.in.Version, p.resp.Topics[:0], nil
	rest := p.parts
	for i := range p.in.Topics {
		t := &p.in.Topics[i]
		out := rest[:len(t.Partitions):len(t.Partitions)]
		rest = rest[len(out):]
		for j := range out {
			out[j] = wire.ProduceResponsePartition{Partition: t.Partitions[j].Partition,
				BaseOffset: model.NoOffset, LogAppendTimeMs: record.NoTimestamp, LogStartOffset: model.NoOffset}
		}
		p.resp.Topics = append(p.resp.Topics, wire.ProduceResponseTopic{Name: t.Name, ID: t.ID, Partitions: out})
	}
	p.open.Store(1)
}

// AppendReply implements server.Reply.
func (p *producing) AppendReply(dst []byte, correlationID int32) []byte {
	return wire.AppendProduceResponse(dst, correlationID, &p.resp)
}

// Release implements server.Reply: nobody looks at the request any more.
func (p *producing) Release() {
	p.slot = nil
	p.in.Reset()
	if p.expired {
		return
	}
	if len(p.parts) > keepPartitions {
		p.parts, p.waiters, p.resp.Topics = nil, nil, nil
	}
	clear(p.parts)
	producings.Put(p)
}

// partitionWaiter is told by the log what became of one partition's batch.
type partitionWaiter struct {
	of   *producing
	out  *wire.ProduceResponsePartition
	told atomic.Bool // by the log, or by the end of the request's time
}

// waiter registers one more partition to wait for.
func (p *producing) waiter(out *wire.ProduceResponsePartition) *partitionWaiter {
	p.waiters = p.waiters[:len(p.waiters)+1]
	w := &p.waiters[len(p.waiters)-1]
	w.of, w.out = p, out
	w.told.Store(false)
	p.open.Add(1)
	return w
}

// Done implements wal.Waiter.
func (w *partitionWaiter) Done(err error) {
	if w.told.Swap(true) {
		return // too late
	}
	if err != nil {
		w.out.ErrorCode, w.out.ErrorMessage, w.out.CurrentLeader = Code(err), message(err), currentLeader(err)
	}
	w.of.settle()
}

// limit has the request end when its time is over. The deadline holds a share of its own, so that it is either taken back before
// the answer, or has a part in it. The caller holds a share, too.
func (p *producing) limit(d *replica.Deadlines, received time.Time) {
	p.open.Add(1)
	p.deadlines = d
	if p.deadline.Expired == nil {
		p.deadline.Expired = p.expire
	}
	d.Add(&p.deadline, received, time.Duration(p.in.TimeoutMs)*time.Millisecond)
}

// expire answers for the partitions whose time is over. What is in the log stays there, and may be acknowledged to a retry.
func (p *producing) expire() {
	p.expired = true
	shares := int32(1)
	for i := range p.waiters {
		if w := &p.waiters[i]; !w.told.Swap(true) {
			w.out.ErrorCode, w.out.ErrorMessage = Code(errProduceTimeout), message(errProduceTimeout)
			shares++
		}
	}
	if p.open.Add(-shares) == 0 {
		p.answer()
	}
}

// refuse answers one partition without the log.
func (p *producing) refuse(out *wire.ProduceResponsePartition, err error) {
	out.ErrorCode, out.ErrorMessage, out.CurrentLeader = Code(err), message(err), currentLeader(err)
	if bad := new(record.RecordError); errors.As(err, &bad) {
		out.RecordErrors = append(out.RecordErrors, wire.ProduceRecordError{Index: int32(bad.Index), Message: message(bad.Err)})
	}
}

// settle counts one share down; the last one answers. If only the deadline's is left, that is called off.
func (p *producing) settle() {
	left := p.open.Add(-1)
	if left == 1 && p.deadlines != nil && p.deadlines.Remove(&p.deadline) {
		left = p.open.Add(-1)
	}
	if left == 0 {
		p.answer()
	}
}

// answer completes the slot. With acks=0 there is no reply to carry an error, so it closes the connection, from
// which the client learns to refresh its metadata; and the slot is held until then, so that what the client asks next on the
// connection sees what it produced before (E1).
func (p *producing) answer() {
	slot := p.slot
	if p.in.Acks != 0 {
		p.amendFailures()
		slot.SendReply(p)
		return
	}
	err := p.failure()
	p.Release()
	if err != nil {
		slot.Close(err)
	} else {
		slot.None()
	}
}

// failure is the first partition's error, nil if all went well.
func (p *producing) failure() error {
	for i := range p.parts {
		if out := &p.parts[i]; out.ErrorCode != 0 {
			return fmt.Errorf("Produce with acks=0 failed with %w: %s", kerr.ErrorForCode(out.ErrorCode), *out.ErrorMessage)
		}
	}
	return nil
}

// amendFailures takes back what was said of batches that failed after they were placed, and adds where the leaders are that were named.
func (p *producing) amendFailures() {
	for i := range p.parts {
		if out := &p.parts[i]; out.ErrorCode != 0 {
			p.resp.Endpoints = p.broker.addEndpoint(p.resp.Endpoints, out.CurrentLeader, p.listener)
			out.BaseOffset, out.LogAppendTimeMs, out.LogStartOffset = model.NoOffset, record.NoTimestamp, model.NoOffset
		}
	}
}
