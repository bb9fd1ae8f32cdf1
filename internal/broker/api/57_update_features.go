package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
)

// UpdateFeatures (57), versions 0 to 2: other levels for features (KIP-584). Version 1 adds the kind of update and trying without doing
// (KIP-778); from 2 on there is one error for all (KIP-1022). It is done whole or not at all.
func (c *control) updateFeatures(ctx context.Context, req *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	updates := make([]controller.FeatureUpdate, len(req.FeatureUpdates))
	for i, u := range req.FeatureUpdates {
		updates[i] = controller.FeatureUpdate{Feature: u.Feature, Level: u.MaxVersionLevel, Type: controller.UpgradeType(u.UpgradeType)}
		if req.Version == 0 {
			updates[i].Type = controller.Upgrade
			if u.AllowDowngrade {
				updates[i].Type = controller.SafeDowngrade
			}
		}
	}
	_, err := c.decide(ctx, func(in controller.Inputs) ([]*command.Command, error) {
		var rest []controller.FeatureUpdate
		for _, u := range updates {
			own, err := c.fixedFeature(in, u)
			if err != nil {
				return nil, err
			}
			if !own {
				rest = append(rest, u)
			}
		}
		commands, errs := controller.UpdateFeatures(in, rest, req.ValidateOnly)
		for _, err := range errs {
			if err != nil {
				return nil, err
			}
		}
		return commands, nil
	})
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	if err != nil {
		text := fmt.Sprintf("The update failed for all features since the following feature had an error: %s", err)
		resp.ErrorCode, resp.ErrorMessage = Code(err), &text
		return resp
	}
	for _, u := range updates {
		done := kmsg.NewUpdateFeaturesResponseResult()
		done.Feature = u.Feature
		resp.Results = append(resp.Results, done)
	}
	return resp
}

// fixedFeature judges an update of a feature whose level cannot be chosen here, or that there is not; own tells that it is the former.
func (c *control) fixedFeature(in controller.Inputs, u controller.FeatureUpdate) (own bool, err error) {
	bad := func(format string, args ...any) error {
		text := fmt.Sprintf("Invalid update version %d for feature %s. ", u.Level, u.Feature) + fmt.Sprintf(format, args...)
		return &controller.Refusal{Reason: controller.InvalidUpdateVersion, Message: text}
	}
	for _, f := range kafkaFeatures {
		switch {
		case f.name != u.Feature || !c.offers(f):
		case u.Type < controller.Upgrade || u.Type > controller.UnsafeDowngrade:
			return true, bad("The controller does not support the given upgrade type.")
		case u.Level != f.level && f.name == command.MetadataVersion:
			return true, bad("It is %d, that of the Kafka release whose requests are served, and changes with the program only: Chronik's metadata has versions of its own, "+
				"which rise by themselves when a cluster is formed.", f.level)
		case u.Level != f.level:
			return true, bad("Local controller %d only supports versions %d-%d", c.NodeID, f.level, f.level)
		default:
			return true, nil
		}
	}
	_, finalized := in.Image.Features()[u.Feature]
	known := slices.ContainsFunc(in.Supported(), func(f image.FeatureRange) bool { return f.Name == u.Feature })
	switch {
	case finalized || known:
		return false, nil
	case u.Level == 0:
		return false, bad("Feature %s not found.", u.Feature)
	}
	return false, bad("Local controller %d does not support this feature.", c.NodeID)
}
