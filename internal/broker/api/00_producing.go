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
	"chronik/internal/replica"
	"chronik/internal/wal"
	"chronik/internal/wire"
)

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

	caller atomic.Int32 // where whoever handles the request is, while it has a deadline

	deadlines *replica.Deadlines // that end it; nil: none
	deadline  replica.Deadline
	expired   bool // waiters may still be told, for nothing: the memory is not used again
}

const (
	callerHere   = iota // it goes on with the request
	callerHeldUp        // it is in the log, and perhaps waits for the disk
	callerGone          // the request's time was over before it came back: it does not go on
)

var producings = sync.Pool{New: func() any { return new(producing) }}

// keepPartitions is the most partitions whose memory is used again.
const keepPartitions = 256

// begin lays the response out: the log will hold pointers into it, so nothing of it grows later.
func (p *producing) begin(slot *server.Slot) {
	p.slot = slot
	p.caller.Store(callerHere)
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

// deadlineShare is what a deadline holds of the shares: more than all partitions together, so that whoever gives a share back sees
// whether only the deadline is left. Without one, the last but one must not look at the request any more, as the last may
// have answered and released it.
const deadlineShare = 1 << 30

// leastTime is what a request is granted at least: even one that grants nothing may wait for a healthy disk. Kafka, whose
// leaders do not sync, has answered by then.
const leastTime = 500 * time.Millisecond

// limit has the request end when its time is over. The deadline holds a share of its own, so that it is either taken back before
// the answer, or has a part in it. The caller holds a share, too.
func (p *producing) limit(d *replica.Deadlines, received time.Time) {
	p.deadlines = d
	p.open.Add(deadlineShare)
	if p.deadline.Expired == nil {
		p.deadline.Expired = p.expire
	}
	d.Add(&p.deadline, received, max(time.Duration(p.in.TimeoutMs)*time.Millisecond, leastTime))
}

// appendInTime appends a batch whose commit may be done here, and may wait for the disk for longer than the request has time. here is false
// if the request was answered meanwhile: neither it nor p are the caller's any more.
func (p *producing) appendInTime(r *replica.Replica, a replica.Append, d *replica.Deadlines, received time.Time) (placed wal.Appended, here bool, err error) {
	a.Owner.Retain() // the end of the request lets go of it
	defer a.Owner.Release()
	p.caller.Store(callerHeldUp)
	p.limit(d, received)
	placed, err = r.Append(a)
	return placed, p.caller.CompareAndSwap(callerHeldUp, callerHere), err
}

// expire answers for the partitions whose time is over. What is in the log stays there, and may be acknowledged to a retry.
func (p *producing) expire() {
	p.expired = true
	shares := int32(deadlineShare)
	for i := range p.waiters {
		if w := &p.waiters[i]; !w.told.Swap(true) {
			w.out.ErrorCode, w.out.ErrorMessage = Code(errProduceTimeout), message(errProduceTimeout)
			shares++
		}
	}
	if shares > deadlineShare && p.caller.CompareAndSwap(callerHeldUp, callerGone) {
		p.slot.Detach()
		shares++ // its own
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
	if left == deadlineShare && p.deadlines.Remove(&p.deadline) {
		left = p.open.Add(-deadlineShare)
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
	for i := range p.resp.Topics {
		t := &p.resp.Topics[i]
		for j := range t.Partitions {
			out := &t.Partitions[j]
			if out.ErrorCode == 0 {
				continue
			}
			out.CurrentLeader = p.broker.newestLeader(out.ErrorCode, out.CurrentLeader, t.Name, t.ID, out.Partition)
			p.resp.Endpoints = p.broker.addEndpoint(p.resp.Endpoints, out.CurrentLeader, p.listener)
			out.BaseOffset, out.LogAppendTimeMs, out.LogStartOffset = model.NoOffset, record.NoTimestamp, model.NoOffset
		}
	}
}
