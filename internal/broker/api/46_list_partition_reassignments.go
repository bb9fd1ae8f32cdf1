package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/wire"
)

// ListPartitionReassignments (46), version 0: which reassignments are under way (KIP-455). The controller answers, so that who has just
// begun one finds it.
func (c *control) listPartitionReassignments(ctx context.Context, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	var partitions []model.TopicPartition // nil: all
	if req.Topics != nil {
		partitions = []model.TopicPartition{}
	}
	for _, t := range req.Topics {
		for _, n := range t.Partitions {
			partitions = append(partitions, model.TopicPartition{Topic: t.Topic, Partition: n})
		}
	}
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	im, err := c.latest(ctx)
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
		return resp
	}
	topics := wire.NewByTopic(func(topic string) kmsg.ListPartitionReassignmentsResponseTopic {
		t := kmsg.NewListPartitionReassignmentsResponseTopic()
		t.Topic = topic
		return t
	})
	for _, o := range controller.ListPartitionReassignments(im, partitions) {
		p := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		p.Partition, p.Replicas = o.Partition, model.Int32s(o.Replicas)
		p.AddingReplicas, p.RemovingReplicas = model.Int32s(o.Adding), model.Int32s(o.Removing)
		t := topics.Of(o.Topic)
		t.Partitions = append(t.Partitions, p)
	}
	resp.Topics = topics.Topics()
	return resp
}

// latest is the image as the controller decides on it: a decision that changes nothing is made on the newest.
func (c *control) latest(ctx context.Context) (seen *image.Image, err error) {
	_, err = c.decide(ctx, func(in controller.Inputs) ([]*command.Command, error) {
		seen = in.Image
		return nil, nil
	})
	return seen, err
}
