package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
)

// ListConfigResources (74), versions 0 and 1: what has a configuration (KIP-1142). Version 0 knew client metrics
// resources only, of which this broker has none.
func (b *Broker) listConfigResources(_ context.Context, _ *server.Request, req *kmsg.ListConfigResourcesRequest) *kmsg.ListConfigResourcesResponse {
	resp := kmsg.NewPtrListConfigResourcesResponse()
	if req.Version == 0 {
		return resp
	}
	for _, t := range req.ResourceTypes {
		if !slices.Contains(listable, kmsg.ConfigResourceType(t)) {
			resp.ErrorCode = Code(errUnsupportedVersion)
			return resp
		}
	}
	wants := func(t kmsg.ConfigResourceType) bool {
		return len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, int8(t))
	}
	add := func(t kmsg.ConfigResourceType, name string) {
		r := kmsg.NewListConfigResourcesResponseConfigResource()
		r.Name, r.Type = name, int8(t)
		resp.ConfigResources = append(resp.ConfigResources, r)
	}
	im := b.image()
	if wants(kmsg.ConfigResourceTypeTopic) {
		for t := range im.Topics() {
			add(kmsg.ConfigResourceTypeTopic, t.Name)
		}
	}
	for _, t := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger} {
		if !wants(t) {
			continue
		}
		for _, n := range im.Nodes() {
			add(t, strconv.Itoa(int(n.ID)))
		}
	}
	if wants(kmsg.ConfigResourceTypeGroupConfig) {
		for _, id := range im.ConfiguredGroups() {
			add(kmsg.ConfigResourceTypeGroupConfig, id)
		}
	}
	return resp
}

// listable are the resource types that a client may ask for. Of client metrics there are none.
var listable = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig,
}
