package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/model"
)

// InitializeShareGroupState (83), version 0: share partitions begin, or begin anew (KIP-932). Coordinators of groups send it.
func (b *Broker) initializeShareGroupState(ctx context.Context, _ *server.Request, req *kmsg.InitializeShareGroupStateRequest) *kmsg.InitializeShareGroupStateResponse {
	var in shareAsking
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			in.add(sharestate.Initialize, share.WriteRequest{
				Key: share.Key{TopicID: t.TopicID, Partition: p.Partition}, StateEpoch: p.StateEpoch, Start: model.Offset(p.StartOffset),
			})
		}
	}
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	for id, some := range in.answered(ctx, b, req.GroupID) {
		t := kmsg.NewInitializeShareGroupStateResponseTopic()
		t.TopicID = id
		for _, a := range some {
			p := kmsg.NewInitializeShareGroupStateResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = a.Request.Key.Partition, shareCode(a.Err), message(a.Err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func askInitialize(group string, all []sharestate.Request) kmsg.Request {
	req := kmsg.NewPtrInitializeShareGroupStateRequest()
	req.GroupID = group
	for id, some := range requested(all) {
		t := kmsg.NewInitializeShareGroupStateRequestTopic()
		t.TopicID = id
		for _, r := range some {
			p := kmsg.NewInitializeShareGroupStateRequestTopicPartition()
			p.Partition, p.StateEpoch, p.StartOffset = r.Key.Partition, r.StateEpoch, int64(r.Start)
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func initialized(resp *kmsg.InitializeShareGroupStateResponse) (out []sharestate.Answer) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, sharestate.Answer{Err: shareError(sharestate.Initialize, p.ErrorCode, p.ErrorMessage)})
		}
	}
	return out
}
