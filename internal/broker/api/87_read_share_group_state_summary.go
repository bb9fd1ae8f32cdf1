package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/model"
)

// ReadShareGroupStateSummary (87), versions 0 to 1: where share partitions have come to (KIP-932). Version 1 has how much of what is in flight is complete (KIP-1226).
func (b *Broker) readShareGroupStateSummary(ctx context.Context, _ *server.Request, req *kmsg.ReadShareGroupStateSummaryRequest) *kmsg.ReadShareGroupStateSummaryResponse {
	var in shareAsking
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			in.add(sharestate.Summarize, share.WriteRequest{Key: share.Key{TopicID: t.TopicID, Partition: p.Partition}})
		}
	}
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	for id, some := range in.answered(ctx, b, req.GroupID) {
		t := kmsg.NewReadShareGroupStateSummaryResponseTopic()
		t.TopicID = id
		for _, a := range some {
			p := kmsg.NewReadShareGroupStateSummaryResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = a.Request.Key.Partition, shareCode(a.Err), message(a.Err)
			if a.Err == nil {
				p.StateEpoch, p.LeaderEpoch, p.StartOffset = a.State.StateEpoch, a.State.LeaderEpoch, int64(a.State.Start)
				p.DeliveryCompleteCount = a.State.Complete
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func askSummaries(group string, all []sharestate.Request) kmsg.Request {
	req := kmsg.NewPtrReadShareGroupStateSummaryRequest()
	req.Version, req.GroupID = sharesComplete, group
	for id, some := range requested(all) {
		t := kmsg.NewReadShareGroupStateSummaryRequestTopic()
		t.TopicID = id
		for _, r := range some {
			p := kmsg.NewReadShareGroupStateSummaryRequestTopicPartition()
			p.Partition, p.LeaderEpoch = r.Key.Partition, r.LeaderEpoch
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func summaries(resp *kmsg.ReadShareGroupStateSummaryResponse) (out []sharestate.Answer) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, sharestate.Answer{
				State: share.State{
					StateEpoch: p.StateEpoch, LeaderEpoch: p.LeaderEpoch, Start: model.Offset(p.StartOffset), Complete: p.DeliveryCompleteCount,
				},
				Err: shareError(sharestate.Summarize, p.ErrorCode, p.ErrorMessage),
			})
		}
	}
	return out
}
