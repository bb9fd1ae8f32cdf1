package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/model"
)

// ReadShareGroupState (84), version 0: what is known of share partitions, for the leaders of their partitions; earlier leaders change it no more (KIP-932).
func (b *Broker) readShareGroupState(ctx context.Context, _ *server.Request, req *kmsg.ReadShareGroupStateRequest) *kmsg.ReadShareGroupStateResponse {
	var in shareAsking
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			in.add(sharestate.Read, share.WriteRequest{Key: share.Key{TopicID: t.TopicID, Partition: p.Partition}, LeaderEpoch: p.LeaderEpoch})
		}
	}
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	for id, some := range in.answered(ctx, b, req.GroupID) {
		t := kmsg.NewReadShareGroupStateResponseTopic()
		t.TopicID = id
		for _, a := range some {
			p := kmsg.NewReadShareGroupStateResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = a.Request.Key.Partition, shareCode(a.Err), message(a.Err)
			p.StateEpoch, p.StartOffset = a.State.StateEpoch, int64(a.State.Start)
			for _, s := range a.State.Batches {
				sb := kmsg.NewReadShareGroupStateResponseTopicPartitionStateBatch()
				sb.FirstOffset, sb.LastOffset, sb.DeliveryState, sb.DeliveryCount = int64(s.First), int64(s.Last), int8(s.State), s.Deliveries
				p.StateBatches = append(p.StateBatches, sb)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func askRead(group string, all []sharestate.Request) kmsg.Request {
	req := kmsg.NewPtrReadShareGroupStateRequest()
	req.GroupID = group
	for id, some := range requested(all) {
		t := kmsg.NewReadShareGroupStateRequestTopic()
		t.TopicID = id
		for _, r := range some {
			p := kmsg.NewReadShareGroupStateRequestTopicPartition()
			p.Partition, p.LeaderEpoch = r.Key.Partition, r.LeaderEpoch
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// readStates is what was asked for: the answer does not say the leader's epoch, nor how much is complete.
func readStates(resp *kmsg.ReadShareGroupStateResponse, all []sharestate.Request) (out []sharestate.Answer) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			a := sharestate.Answer{Err: shareError(sharestate.Read, p.ErrorCode, p.ErrorMessage)}
			if a.Err == nil && len(out) < len(all) {
				a.State = share.State{
					StateEpoch: p.StateEpoch, LeaderEpoch: all[len(out)].LeaderEpoch, Start: model.Offset(p.StartOffset), Complete: share.Unknown,
				}
				for _, s := range p.StateBatches {
					a.State.Batches = append(a.State.Batches, share.Batch{
						First: model.Offset(s.FirstOffset), Last: model.Offset(s.LastOffset), State: share.DeliveryState(s.DeliveryState), Deliveries: s.DeliveryCount,
					})
				}
			}
			out = append(out, a)
		}
	}
	return out
}
