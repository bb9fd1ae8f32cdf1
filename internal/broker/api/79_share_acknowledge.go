package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/broker/sharesession"
	"chronik/internal/broker/sharing"
	"chronik/internal/wire"
)

// ShareAcknowledge (79), versions 1 and 2 (KIP-932): what became of records that a member has acquired. Version 2 adds renewal (KIP-1222).
func (b *Broker) shareAcknowledge(ctx context.Context, r *server.Request, in *kmsg.ShareAcknowledgeRequest) *kmsg.ShareAcknowledgeResponse {
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	key, err := shareMember(in.GroupID, in.MemberID)
	var outcomes []sharing.Outcome
	if err == nil {
		outcomes, err = b.Sharing.Acknowledge(ctx, key, in.ShareSessionEpoch, b.shareAcknowledgements(in))
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = sharingCode(err), message(err)
		return resp
	}
	resp.AcquisitionLockTimeoutMillis = int32(b.Sharing.LockDuration(key.Group).Milliseconds())
	var nodes []wire.NodeEndpoint
	for _, o := range outcomes {
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].TopicID != o.Partition.TopicID {
			t := kmsg.NewShareAcknowledgeResponseTopic()
			t.TopicID = o.Partition.TopicID
			resp.Topics = append(resp.Topics, t)
		}
		p := kmsg.NewShareAcknowledgeResponseTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = o.Partition.Partition, sharingCode(o.Err), message(o.Err)
		if l := b.newestLeader(p.ErrorCode, currentLeader(o.Err), "", o.Partition.TopicID, o.Partition.Partition); o.Err != nil && l != nil {
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = int32(l.ID), int32(l.Epoch)
			nodes = b.addEndpoint(nodes, l, r.Conn.Listener())
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	for _, n := range nodes {
		e := kmsg.NewShareAcknowledgeResponseNodeEndpoint()
		e.NodeID, e.Host, e.Port, e.Rack = int32(n.ID), n.Host, n.Port, n.Rack
		resp.NodeEndpoints = append(resp.NodeEndpoints, e)
	}
	return resp
}

// shareAcknowledgements are those of the request. What says nothing of any record is answered as done.
func (b *Broker) shareAcknowledgements(in *kmsg.ShareAcknowledgeRequest) (out []sharing.Acknowledgement) {
	rule := ackRule{most: mostAck(in.Version), renews: in.Version >= shareRenews && in.IsRenewAck}
	for i := range in.Topics {
		t := &in.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			a := sharing.Acknowledgement{Partition: sharesession.Partition{TopicID: t.TopicID, Partition: p.Partition}}
			for _, x := range p.AcknowledgementBatches {
				a.Batches = append(a.Batches, ackBatch(x.FirstOffset, x.LastOffset, x.AcknowledgeTypes))
			}
			out = append(out, b.judged(a, rule))
		}
	}
	return out
}
