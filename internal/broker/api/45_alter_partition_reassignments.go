package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// AlterPartitionReassignments (45), versions 0 and 1: other replicas for partitions, or an end of what is under way (KIP-455). Version 1
// can forbid another number of replicas (KIP-860).
func (c *control) alterPartitionReassignments(ctx context.Context, req *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	var wanted []controller.Reassignment
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			w := controller.Reassignment{TopicPartition: model.TopicPartition{Topic: t.Topic, Partition: p.Partition}}
			if p.Replicas != nil {
				w.Replicas = make([]model.BrokerID, len(p.Replicas))
			}
			for i, id := range p.Replicas {
				w.Replicas[i] = model.BrokerID(id)
			}
			wanted = append(wanted, w)
		}
	}
	anyFactor := req.Version < 1 || req.AllowReplicationFactorChange
	var errs []error
	err := checkTime(req.TimeoutMillis)
	if err == nil {
		_, err = c.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
			commands, errs = controller.AlterPartitionReassignments(in, wanted, anyFactor)
			return commands, nil
		})
	}
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange, resp.ErrorCode, resp.ErrorMessage = anyFactor, Code(err), message(err)
	next := 0
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			failure := err
			if failure == nil {
				failure = errs[next]
			}
			p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, Code(failure), message(failure)
			out.Partitions = append(out.Partitions, p)
			next++
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
