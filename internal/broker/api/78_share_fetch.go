package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/broker/sharesession"
	"chronik/internal/broker/sharing"
	"chronik/internal/wire"
)

// shareRenews is the version from which on members may renew what they have acquired (KIP-1222), in ShareFetch and in ShareAcknowledge. With it
// ShareFetch can have a limit of records that holds (KIP-1206).
const shareRenews = 2

// recordLimit is share_acquire_mode on the wire (KIP-1206): max_records holds exactly, at the price of batches that are sent again.
const recordLimit = 1

// ShareFetch (78), versions 1 and 2 (KIP-932): records for a member of a share group, which has them then until it acknowledges them or its time is
// over, and acknowledgements of what it had before. Version 2 adds renewal and the mode with a limit of records.
//
// The session lives by the connection. Records are in memory until the reply has left, and count against a budget.
func (b *Broker) shareFetch(ctx context.Context, r *server.Request, slot *server.Slot, in *kmsg.ShareFetchRequest) {
	answer, err := b.shareFetched(ctx, r, in)
	resp := kmsg.NewPtrShareFetchResponse()
	resp.Version = in.Version
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = sharingCode(err), message(err)
		slot.Send(resp)
		return
	}
	resp.AcquisitionLockTimeoutMillis = int32(b.Sharing.LockDuration(*in.GroupID).Milliseconds())
	out := shareFetchResponse{b: b, listener: r.Conn.Listener(), resp: resp, at: make(map[sharesession.Partition]shareFetchPlace)}
	for i := range answer.Fetched {
		out.fetched(&answer.Fetched[i])
	}
	for _, a := range answer.Acknowledged {
		p := out.partition(a.Partition)
		p.AcknowledgeErrorCode, p.AcknowledgeErrorMessage = sharingCode(a.Err), message(a.Err)
	}
	slot.SendReply(&shareFetchReply{resp, answer})
}

func (b *Broker) shareFetched(ctx context.Context, r *server.Request, in *kmsg.ShareFetchRequest) (*sharing.Answer, error) {
	key, err := shareMember(in.GroupID, in.MemberID)
	if err != nil {
		return nil, err
	}
	renews := in.Version >= shareRenews && in.IsRenewAck
	if renews && (in.MaxBytes != 0 || in.MinBytes != 0 || in.MaxRecords != 0 || in.MaxWaitMillis != 0) {
		return nil, errInvalidRequest // who renews is in a hurry, and fetches with another request
	}
	if in.Version >= shareRenews && in.ShareAcquireMode != 0 && in.ShareAcquireMode != recordLimit {
		return nil, errInvalidRequest
	}
	q := sharing.FetchRequest{
		Session:  sharesession.Request{Key: key, Epoch: in.ShareSessionEpoch, Connection: b.shareConnection(r.Conn)},
		Deadline: r.Received.Add(time.Duration(in.MaxWaitMillis) * time.Millisecond),
		MinBytes: int(in.MinBytes), MaxBytes: min(int(in.MaxBytes), int(b.Config().FetchMaxBytes)), MaxRecords: int(in.MaxRecords), BatchSize: int(in.BatchSize),
		RecordLimit: in.Version >= shareRenews && in.ShareAcquireMode == recordLimit, Lead: b.shareLead,
	}
	q.MinBytes = min(q.MinBytes, q.MaxBytes)
	rule := ackRule{most: mostAck(in.Version), renews: renews}
	for i := range in.Topics {
		t := &in.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			at := sharesession.Partition{TopicID: t.TopicID, Partition: p.Partition}
			q.Session.Add = append(q.Session.Add, at)
			if len(p.AcknowledgementBatches) == 0 {
				continue
			}
			q.Session.Acknowledges = true
			a := sharing.Acknowledgement{Partition: at}
			for _, x := range p.AcknowledgementBatches {
				a.Batches = append(a.Batches, ackBatch(x.FirstOffset, x.LastOffset, x.AcknowledgeTypes))
			}
			q.Acknowledge = append(q.Acknowledge, b.judged(a, rule))
		}
	}
	for i := range in.ForgottenTopicsData {
		t := &in.ForgottenTopicsData[i]
		for _, n := range t.Partitions {
			q.Session.Forget = append(q.Session.Forget, sharesession.Partition{TopicID: t.TopicID, Partition: n})
		}
	}
	r.Forget() // there may be nothing to be had for a while
	return b.Sharing.Fetch(ctx, q)
}

// shareFetchResponse is a response that grows.
type shareFetchResponse struct {
	b        *Broker
	listener string
	resp     *kmsg.ShareFetchResponse
	at       map[sharesession.Partition]shareFetchPlace
	nodes    []wire.NodeEndpoint
}

// shareFetchPlace is where a partition is in the response.
type shareFetchPlace struct{ topic, partition int }

// partition finds or adds a partition. What it returns is valid until the next one is added.
func (o *shareFetchResponse) partition(p sharesession.Partition) *kmsg.ShareFetchResponseTopicPartition {
	at, ok := o.at[p]
	if !ok {
		topics := &o.resp.Topics
		at.topic = len(*topics) - 1
		if at.topic < 0 || (*topics)[at.topic].TopicID != p.TopicID {
			at.topic++
			t := kmsg.NewShareFetchResponseTopic()
			t.TopicID = p.TopicID
			*topics = append(*topics, t)
		}
		t := &(*topics)[at.topic]
		at.partition = len(t.Partitions)
		n := kmsg.NewShareFetchResponseTopicPartition()
		n.Partition, n.Records = p.Partition, []byte{}
		t.Partitions = append(t.Partitions, n)
		o.at[p] = at
	}
	return &o.resp.Topics[at.topic].Partitions[at.partition]
}

func (o *shareFetchResponse) fetched(f *sharing.Fetched) {
	p := o.partition(f.Partition)
	if f.Err != nil {
		p.ErrorCode, p.ErrorMessage = sharingCode(f.Err), message(f.Err)
		if l := o.b.newestLeader(p.ErrorCode, currentLeader(f.Err), "", f.Partition.TopicID, f.Partition.Partition); l != nil {
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = int32(l.ID), int32(l.Epoch)
			o.endpoint(l)
		}
		return
	}
	p.Records = f.Records
	p.AcquiredRecords = make([]kmsg.ShareFetchResponseTopicPartitionAcquiredRecord, len(f.Acquired))
	for i, a := range f.Acquired {
		to := &p.AcquiredRecords[i]
		to.FirstOffset, to.LastOffset, to.DeliveryCount = int64(a.First), int64(a.Last), a.Deliveries
	}
}

// endpoint tells where a leader is reached.
func (o *shareFetchResponse) endpoint(l *wire.CurrentLeader) {
	had := len(o.nodes)
	o.nodes = o.b.addEndpoint(o.nodes, l, o.listener)
	for _, n := range o.nodes[had:] {
		e := kmsg.NewShareFetchResponseNodeEndpoint()
		e.NodeID, e.Host, e.Port, e.Rack = int32(n.ID), n.Host, n.Port, n.Rack
		o.resp.NodeEndpoints = append(o.resp.NodeEndpoints, e)
	}
}

// shareFetchReply is a response whose records are in memory of the broker's budget.
type shareFetchReply struct {
	resp   *kmsg.ShareFetchResponse
	answer *sharing.Answer
}

// AppendReply implements server.Reply.
func (r *shareFetchReply) AppendReply(dst []byte, correlationID int32) []byte {
	return wire.AppendResponse(dst, correlationID, r.resp)
}

// Release implements server.Reply.
func (r *shareFetchReply) Release() { r.answer.Release() }
