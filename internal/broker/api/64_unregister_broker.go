package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// UnregisterBroker (64), version 0: forgets a broker that is gone for good (KIP-631). One in service is refused, and so is one without
// which acknowledged records would be lost.
func (c *control) unregisterBroker(ctx context.Context, req *kmsg.UnregisterBrokerRequest) *kmsg.UnregisterBrokerResponse {
	_, err := c.decide(ctx, func(in controller.Inputs) ([]*command.Command, error) {
		return controller.UnregisterBroker(in, model.BrokerID(req.BrokerID))
	})
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
	return resp
}
