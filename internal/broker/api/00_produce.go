package api

import (
	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/replica"
	"chronik/internal/wal"
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
			if !b.append(p, req, r, topic.Partitions[i].Records, &out[i], nowMs) {
				return
			}
		}
	}
	if in.Acks == -1 && p.deadlines == nil && p.open.Load() > 1 {
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
	if err == nil && isInternal(topic) {
		return nil, errInternalAppend
	}
	return r, err
}

// append admits one partition's batch and places it in the log. What comes of it is told to the partition's
// waiter, or here if it was refused. False: the request was answered meanwhile, and must not be touched any more.
func (b *Broker) append(p *producing, req *server.Request, r *replica.Replica, records []byte, out *wire.ProduceResponsePartition, nowMs int64) bool {
	policy := r.Policy()
	batch, err := policy.Admit(records, nowMs)
	if err == nil {
		err = admitVersion(batch, req.Version)
	}
	if err != nil {
		p.refuse(out, err)
		return true
	}
	if policy.LogAppendTime {
		out.LogAppendTimeMs = batch.MaxTimestamp()
	}
	if batch.IsTransactional() {
		b.appendTransactional(p, req, r, batch, out)
		return true
	}
	w := p.waiter(out)
	a := replica.Append{Batch: batch, Owner: req.Frame, Acks: p.in.Acks, Waiter: w, Inline: p.inline}
	var placed wal.Appended
	if p.inline && p.in.Acks == -1 {
		var here bool
		if placed, here, err = p.appendInTime(r, a, b.Replicas.Deadlines(), req.Received); !here {
			return false
		}
	} else {
		placed, err = r.Append(a)
	}
	if err != nil {
		p.refuse(out, err)
		w.told.Store(true)
		p.open.Add(-1) // the log keeps no waiter of a batch that it refused
		return true
	}
	out.BaseOffset, out.LogStartOffset = placed.BaseOffset, placed.LogStart
	return true
}

// admitVersion refuses what the version of the request could not have meant.
func admitVersion(batch record.Batch, version int16) error {
	if batch.Codec() == compress.Zstd && version < 7 {
		return errCodecVersion
	}
	return nil
}
