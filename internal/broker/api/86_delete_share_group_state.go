package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
)

// DeleteShareGroupState (86), version 0: share partitions are forgotten (KIP-932). Coordinators of groups send it.
func (b *Broker) deleteShareGroupState(ctx context.Context, _ *server.Request, req *kmsg.DeleteShareGroupStateRequest) *kmsg.DeleteShareGroupStateResponse {
	var in shareAsking
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			in.add(sharestate.Delete, share.WriteRequest{Key: share.Key{TopicID: t.TopicID, Partition: p.Partition}})
		}
	}
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	for id, some := range in.answered(ctx, b, req.GroupID) {
		t := kmsg.NewDeleteShareGroupStateResponseTopic()
		t.TopicID = id
		for _, a := range some {
			p := kmsg.NewDeleteShareGroupStateResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = a.Request.Key.Partition, shareCode(a.Err), message(a.Err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func askDelete(group string, all []sharestate.Request) kmsg.Request {
	req := kmsg.NewPtrDeleteShareGroupStateRequest()
	req.GroupID = group
	for id, some := range requested(all) {
		t := kmsg.NewDeleteShareGroupStateRequestTopic()
		t.TopicID = id
		for _, r := range some {
			p := kmsg.NewDeleteShareGroupStateRequestTopicPartition()
			p.Partition = r.Key.Partition
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func deletedStates(resp *kmsg.DeleteShareGroupStateResponse) (out []sharestate.Answer) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, sharestate.Answer{Err: shareError(sharestate.Delete, p.ErrorCode, p.ErrorMessage)})
		}
	}
	return out
}
