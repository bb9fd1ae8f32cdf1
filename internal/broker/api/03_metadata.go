package api

import (
	"context"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// What a client may do to a topic and to the cluster where nobody is restricted: bits numbered as Kafka's
// AclOperation.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11 // read, write, create, delete, alter, describe, describe and alter configs
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12       // create, alter, describe, cluster action, configs, idempotent write
)

const notAsked = math.MinInt32 // the wire's "operations were not asked for"

// Metadata (3), versions 0 to 13: brokers, topics, partitions and their leaders. Version 1 makes null mean all
// topics, 4 lets the client forbid auto-creation, 10 and 12 bring topic IDs. Topics are created here and
// nowhere else as a side effect: only if both the broker and the request allow it.
func (b *Broker) metadata(ctx context.Context, r *server.Request, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	im := b.image()
	if b.mayCreate(req) {
		im = b.createMissing(ctx, r, im, req.Topics)
	}
	listener := r.Conn.Listener()
	for _, br := range im.Nodes() {
		e, ok := endpoint(br, listener)
		if !ok || br.Fenced {
			continue
		}
		out := kmsg.NewMetadataResponseBroker()
		out.NodeID, out.Host, out.Port, out.Rack = int32(br.ID), e.Host, int32(e.Port), rack(br.Rack)
		resp.Brokers = append(resp.Brokers, out)
	}
	id := im.ClusterID()
	resp.ClusterID, resp.ControllerID = &id, int32(b.controller(im, listener))
	resp.AuthorizedOperations = notAsked
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	resp.Topics = metadataTopics(b.view(im, listener, req.Version), req)
	return resp
}

func metadataTopics(v view, req *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	ops := int32(notAsked)
	if req.IncludeTopicAuthorizedOperations {
		ops = topicOperations
	}
	all := req.Topics == nil || req.Version == 0 && len(req.Topics) == 0
	out := make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	if all {
		for t := range v.im.Topics() {
			out = append(out, metadataTopic(v, t, ops))
		}
		return out
	}
	given := make(map[*image.Topic]bool, len(req.Topics))
	for i := range req.Topics {
		asked := &req.Topics[i]
		t, err := askedTopic(v.im, asked, req.Version)
		if given[t] && err == nil {
			continue // once, however often it is named: a small request gets no huge answer (E2)
		}
		given[t] = true
		if err != nil {
			missing := kmsg.NewMetadataResponseTopic()
			missing.Topic, missing.TopicID, missing.ErrorCode, missing.AuthorizedOperations = asked.Topic, asked.TopicID, Code(err), notAsked
			if missing.Topic == nil && req.Version < 12 {
				missing.Topic = new(string) // the field cannot be null before version 12
			}
			out = append(out, missing)
			continue
		}
		out = append(out, metadataTopic(v, t, ops))
	}
	return out
}

// askedTopic finds a topic by name or, from version 12 on, by ID. Versions 10 and 11 have the field, but Kafka never
// served it.
func askedTopic(im *image.Image, asked *kmsg.MetadataRequestTopic, version int16) (*image.Topic, error) {
	if id := model.TopicID(asked.TopicID); !id.IsZero() {
		if version < 12 {
			return nil, errInvalidRequest
		}
		if t := im.TopicByID(id); t != nil {
			return t, nil
		}
		return nil, errUnknownTopicID
	}
	if asked.Topic == nil {
		return nil, errInvalidRequest
	}
	if t := im.Topic(*asked.Topic); t != nil {
		return t, nil
	}
	if err := model.CheckTopicName(*asked.Topic); err != nil {
		return nil, err
	}
	return nil, errUnknownTopic
}

func metadataTopic(v view, t *image.Topic, operations int32) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = &t.Name, t.ID, isInternal(t.Name), operations
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for n := range t.Partitions {
		p, mp := t.Partitions[n], &out.Partitions[n]
		mp.Default()
		leader, err := v.leader(p)
		mp.Partition, mp.Leader, mp.LeaderEpoch, mp.ErrorCode = int32(n), int32(leader), int32(p.LeaderEpoch), Code(err)
		mp.Replicas, mp.ISR, mp.OfflineReplicas = model.Int32s(p.Replicas), model.Int32s(p.ISR), v.offline(p)
	}
	return out
}

// view is the metadata as clients of one listener see it.
type view struct {
	im       *image.Image
	listener string
	version  int16 // of Metadata, in which the errors differ

	withdrawn model.BrokerID // leads nothing, whatever the image says; model.NoBroker: nobody
}

// view shows an image to a client.
func (b *Broker) view(im *image.Image, listener string, version int16) view {
	v := view{im: im, listener: listener, version: version, withdrawn: model.NoBroker}
	if b.Cluster != nil && b.Cluster.Withdrawn() {
		v.withdrawn = b.NodeID
	}
	return v
}

// Versions of Metadata that tell more of what is wrong.
const (
	metadataLenient      = 1 // replicas that are out of service are no error any more
	metadataListenerName = 6
)

// leader is who leads as far as clients reach it; model.NoBroker with an error that says why there is none.
func (v view) leader(p *image.Partition) (model.BrokerID, error) {
	if p.Leader != model.NoBroker && p.Leader == v.withdrawn {
		return model.NoBroker, errNoLeader
	}
	if n, _ := inService(v.im, p.Leader, v.listener); n != nil {
		if v.version < metadataLenient && len(v.offline(p)) > 0 {
			return p.Leader, errReplicaOffline
		}
		return p.Leader, nil
	}
	if n := v.im.Node(p.Leader); n != nil && !n.Fenced && v.version >= metadataListenerName {
		return model.NoBroker, errNoListener
	}
	return model.NoBroker, errNoLeader
}

// offline are the replicas on brokers that do not serve this listener.
func (v view) offline(p *image.Partition) []int32 {
	out := []int32{}
	for _, id := range p.Replicas {
		if n, _ := inService(v.im, id, v.listener); n == nil {
			out = append(out, int32(id))
		}
	}
	return out
}

// controller is whom clients are told to ask for changes. Any broker will do, because each passes them on, but the active controller
// is the shortest way.
func (b *Broker) controller(im *image.Image, listener string) model.BrokerID {
	if b.Cluster == nil {
		return b.NodeID
	}
	active := b.Cluster.Controller()
	if n, _ := inService(im, active, listener); n == nil {
		return b.NodeID
	}
	return active
}

// endpoint is where a node is reached by clients of the listener.
func endpoint(n *image.Node, listener string) (image.Endpoint, bool) {
	i := slices.IndexFunc(n.Endpoints, func(e image.Endpoint) bool { return e.Listener == listener })
	if i < 0 {
		return image.Endpoint{}, false
	}
	return n.Endpoints[i], true
}

// rack is a broker's rack as the wire has it: null if it has none.
func rack(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}
