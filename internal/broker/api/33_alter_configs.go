package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
)

// AlterConfigs (33), versions 0 to 2: replaces all dynamic values of a resource. Deprecated in Kafka in favour
// of IncrementalAlterConfigs, still sent by older tools.
func (c *control) alterConfigs(ctx context.Context, req *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	wanted := make([]controller.Full, len(req.Resources))
	for i, r := range req.Resources {
		wanted[i].Resource = resource(r.ResourceType, r.ResourceName)
		for _, v := range r.Configs {
			wanted[i].Configs = append(wanted[i].Configs, controller.NewConfig{Name: v.Name, Value: v.Value})
		}
	}
	errs := c.alter(ctx, len(wanted), func(in controller.Inputs) ([]*command.Command, []error) {
		return controller.AlterConfigs(in, wanted, req.ValidateOnly)
	})
	resp := kmsg.NewPtrAlterConfigsResponse()
	for i, r := range req.Resources {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName, out.ErrorCode, out.ErrorMessage = r.ResourceType, r.ResourceName, Code(errs[i]), message(errs[i])
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// resource names a resource for the controller, which refuses the types that it does not know.
func resource(t kmsg.ConfigResourceType, name string) controller.Resource {
	r := controller.Resource{Name: name}
	switch t {
	case kmsg.ConfigResourceTypeTopic:
		r.Type = controller.TopicResource
	case kmsg.ConfigResourceTypeBroker:
		r.Type = controller.BrokerResource
	case kmsg.ConfigResourceTypeGroupConfig:
		r.Type = controller.GroupResource
	}
	return r
}
