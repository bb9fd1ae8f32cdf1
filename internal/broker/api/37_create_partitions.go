package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
)

// CreatePartitions (37), versions 0 to 3: more partitions for topics that exist (KIP-195).
func (b *Broker) createPartitions(ctx context.Context, _ *server.Request, req *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	wanted := make([]controller.NewPartitions, len(req.Topics))
	for i, t := range req.Topics {
		wanted[i] = controller.NewPartitions{Topic: t.Topic, Count: t.Count}
		for _, a := range t.Assignment {
			wanted[i].Assignments = append(wanted[i].Assignments, a.Replicas)
		}
	}
	errs := b.alter(ctx, len(wanted), func(in controller.Inputs) ([]*command.Command, []error) {
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

// alter commits a decision over n items that answers each with an error, and returns these; where the commit
// failed, its error for those that had none.
func (b *Broker) alter(ctx context.Context, n int, decide func(controller.Inputs) ([]*command.Command, []error)) []error {
	var errs []error
	_, err := b.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
		commands, errs = decide(in)
		return commands, nil
	})
	if errs == nil {
		errs = make([]error, n)
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}
