package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
)

// The endpoint types of KIP-919.
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// DescribeCluster (60), versions 0 to 2 (KIP-700). Version 1 adds the endpoint type: controllers have no
// listener of their own for clients. Version 2 can include fenced brokers (KIP-1073).
func (b *Broker) describeCluster(_ context.Context, r *server.Request, req *kmsg.DescribeClusterRequest) *kmsg.DescribeClusterResponse {
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.EndpointType = endpointBrokers
	if req.Version >= 1 && req.EndpointType != endpointBrokers {
		err := errMismatchedEndpoint
		if req.EndpointType != endpointControllers {
			err = errUnsupportedEndpoint
		}
		resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
		return resp
	}
	im := b.image()
	resp.ClusterID, resp.ControllerID = im.ClusterID(), int32(b.controller(im, r.Conn.Listener()))
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	for _, br := range im.Nodes() {
		if br.Fenced && !req.IncludeFencedBrokers {
			continue
		}
		e, ok := endpoint(br, r.Conn.Listener())
		if !ok {
			continue
		}
		out := kmsg.NewDescribeClusterResponseBroker()
		out.NodeID, out.Host, out.Port, out.Rack, out.IsFenced = int32(br.ID), e.Host, int32(e.Port), rack(br.Rack), br.Fenced
		resp.Brokers = append(resp.Brokers, out)
	}
	return resp
}
