package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
)

// IncrementalAlterConfigs (44), versions 0 and 1: sets, deletes, and appends to or subtracts from single values
// (KIP-339).
func (c *control) incrementalAlterConfigs(ctx context.Context, req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	wanted := make([]controller.Incremental, len(req.Resources))
	for i, r := range req.Resources {
		wanted[i].Resource = resource(r.ResourceType, r.ResourceName)
		for _, v := range r.Configs {
			wanted[i].Ops = append(wanted[i].Ops, controller.ConfigOp{Name: v.Name, Type: config.OpType(v.Op), Value: v.Value})
		}
	}
	errs := c.alter(ctx, len(wanted), func(in controller.Inputs) ([]*command.Command, []error) {
		return controller.IncrementalAlterConfigs(in, wanted, req.ValidateOnly)
	})
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	for i, r := range req.Resources {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName, out.ErrorCode, out.ErrorMessage = r.ResourceType, r.ResourceName, Code(errs[i]), message(errs[i])
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
