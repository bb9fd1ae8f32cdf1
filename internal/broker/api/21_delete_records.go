package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// DeleteRecords (21), versions 0 to 2: moves log start offsets up (KIP-107). The new start is on disk, here and on the replicas in
// service, before the answer, or else that is REQUEST_TIMED_OUT. Offset -1 means up to the high watermark.
func (b *Broker) deleteRecords(ctx context.Context, _ *server.Request, req *kmsg.DeleteRecordsRequest) *kmsg.DeleteRecordsResponse {
	ctx, cancel := context.WithTimeout(ctx, min(time.Duration(max(req.TimeoutMillis, 0))*time.Millisecond, replica.MaxWait))
	defer cancel()
	resp := kmsg.NewPtrDeleteRecordsResponse()
	var waiting []deleting
	for _, t := range req.Topics {
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			r, low, err := b.deleteBefore(model.TopicPartition{Topic: t.Topic, Partition: p.Partition}, model.Offset(p.Offset))
			part := &out.Partitions[i]
			part.Default()
			part.Partition, part.LowWatermark, part.ErrorCode = p.Partition, int64(low), Code(err)
			if err == nil {
				waiting = append(waiting, deleting{r, low, part})
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	for _, d := range waiting {
		low, err := d.replica.AwaitDeletion(ctx, d.to)
		d.answer.LowWatermark, d.answer.ErrorCode = int64(low), Code(err)
	}
	return resp
}

// deleting is a partition whose leader, this broker, has deleted what it was asked to.
type deleting struct {
	replica *replica.Replica
	to      model.Offset
	answer  *kmsg.DeleteRecordsResponseTopicPartition
}

func (b *Broker) deleteBefore(tp model.TopicPartition, to model.Offset) (*replica.Replica, model.Offset, error) {
	r, err := b.partition(tp)
	if err != nil {
		return nil, model.NoOffset, err
	}
	if isInternal(tp.Topic) {
		return nil, model.NoOffset, errInternalTopic
	}
	if !r.Policy().Deletes {
		return nil, model.NoOffset, errPolicyViolation
	}
	low, err := r.DeleteBefore(to)
	if err != nil {
		return nil, model.NoOffset, err
	}
	return r, low, nil
}
