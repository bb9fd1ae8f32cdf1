package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/model"
)

// The version of 85 and 87 from which on they say how much of what is in flight is complete (KIP-1226).
const sharesComplete = 1

// WriteShareGroupState (85), versions 0 to 1: what members have done with share partitions, from the leaders of their partitions (KIP-932).
func (b *Broker) writeShareGroupState(ctx context.Context, _ *server.Request, req *kmsg.WriteShareGroupStateRequest) *kmsg.WriteShareGroupStateResponse {
	var in shareAsking
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			w := share.WriteRequest{
				Key: share.Key{TopicID: t.TopicID, Partition: p.Partition}, StateEpoch: p.StateEpoch, LeaderEpoch: p.LeaderEpoch,
				Start: model.Offset(p.StartOffset), Complete: share.Unknown,
			}
			if req.Version >= sharesComplete {
				w.Complete = p.DeliveryCompleteCount
			}
			for _, s := range p.StateBatches {
				w.Batches = append(w.Batches, share.Batch{
					First: model.Offset(s.FirstOffset), Last: model.Offset(s.LastOffset), State: share.DeliveryState(s.DeliveryState), Deliveries: s.DeliveryCount,
				})
			}
			in.add(sharestate.Write, w)
		}
	}
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	for id, some := range in.answered(ctx, b, req.GroupID) {
		t := kmsg.NewWriteShareGroupStateResponseTopic()
		t.TopicID = id
		for _, a := range some {
			p := kmsg.NewWriteShareGroupStateResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = a.Request.Key.Partition, shareCode(a.Err), message(a.Err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func askWrite(group string, all []sharestate.Request) kmsg.Request {
	req := kmsg.NewPtrWriteShareGroupStateRequest()
	req.Version, req.GroupID = sharesComplete, group
	for id, some := range requested(all) {
		t := kmsg.NewWriteShareGroupStateRequestTopic()
		t.TopicID = id
		for _, r := range some {
			p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
			p.Partition, p.StateEpoch, p.LeaderEpoch = r.Key.Partition, r.StateEpoch, r.LeaderEpoch
			p.StartOffset, p.DeliveryCompleteCount = int64(r.Start), r.Complete
			for _, b := range r.Batches {
				s := kmsg.NewWriteShareGroupStateRequestTopicPartitionStateBatch()
				s.FirstOffset, s.LastOffset, s.DeliveryState, s.DeliveryCount = int64(b.First), int64(b.Last), int8(b.State), b.Deliveries
				p.StateBatches = append(p.StateBatches, s)
			}
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func writtenStates(resp *kmsg.WriteShareGroupStateResponse) (out []sharestate.Answer) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, sharestate.Answer{Err: shareError(sharestate.Write, p.ErrorCode, p.ErrorMessage)})
		}
	}
	return out
}
