package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
)

// DeleteTopics (20), versions 1 to 6. Version 5 adds messages, 6 lets clients name topics by ID. When it is
// answered, no request can reach the topics any more and their directories are out of the way.
func (c *control) deleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	var refs []controller.TopicRef
	for _, name := range req.TopicNames {
		refs = append(refs, controller.TopicRef{Name: name})
	}
	for _, t := range req.Topics {
		ref := controller.TopicRef{ID: t.TopicID}
		if t.Topic != nil {
			ref.Name = *t.Topic
		}
		refs = append(refs, ref)
	}
	var answers []controller.DeletedTopic
	_, err := c.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
		commands, answers = controller.DeleteTopics(in, refs)
		return commands, nil
	})
	resp := kmsg.NewPtrDeleteTopicsResponse()
	for i, ref := range refs {
		out := kmsg.NewDeleteTopicsResponseTopic()
		a := controller.DeletedTopic{Name: ref.Name, ID: ref.ID, Err: err}
		if answers != nil {
			a = answers[i]
		}
		if a.Err == nil {
			a.Err = err
		}
		if a.Name != "" || req.Version < 6 {
			out.Topic = &a.Name
		}
		out.TopicID, out.ErrorCode, out.ErrorMessage = a.ID, Code(a.Err), message(a.Err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
