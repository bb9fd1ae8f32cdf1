package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
)

// CreatePartitions (37), versions 0 to 3: more partitions for topics that exist (KIP-195).
func (c *control) createPartitions(ctx context.Context, req *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	wanted := make([]controller.NewPartitions, len(req.Topics))
	for i, t := range req.Topics {
		wanted[i] = controller.NewPartitions{Topic: t.Topic, Count: t.Count}
		for _, a := range t.Assignment {
			wanted[i].Assignments = append(wanted[i].Assignments, a.Replicas)
		}
	}
	errs := c.alter(ctx, len(wanted), func(in controller.Inputs) ([]*command.Command, []error) {
		return controller.CreatePartitions(in, wanted, req.ValidateOnly)
	})
	resp := kmsg.NewPtrCreatePartitionsResponse()
	for i, t := range req.Topics {
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic, out.ErrorCode, out.ErrorMessage = t.Topic, Code(errs[i]), message(errs[i])
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
