package api

import (
	"errors"
	"slices"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wire"
)

// currentLeader is whom the client should ask instead, if the error tells (KIP-951); else nil.
func currentLeader(err error) *wire.CurrentLeader {
	var other *replica.LeaderError
	if !errors.As(err, &other) || other.Leader == model.NoBroker {
		return nil
	}
	return &wire.CurrentLeader{ID: other.Leader, Epoch: other.Epoch}
}

// addEndpoint adds to a list where the clients of a listener reach a leader, so that they need not ask for the metadata.
func (b *Broker) addEndpoint(list []wire.NodeEndpoint, l *wire.CurrentLeader, listener string) []wire.NodeEndpoint {
	if l == nil || slices.ContainsFunc(list, func(e wire.NodeEndpoint) bool { return e.ID == l.ID }) {
		return list
	}
	n, e := inService(b.image(), l.ID, listener)
	if n == nil {
		return list
	}
	return append(list, wire.NodeEndpoint{ID: n.ID, Host: e.Host, Port: int32(e.Port), Rack: rack(n.Rack)})
}

// inService finds a broker that clients of the listener reach; nil if there is none.
func inService(im *image.Image, id model.BrokerID, listener string) (*image.Node, image.Endpoint) {
	n := im.Node(id)
	if n == nil || n.Fenced {
		return nil, image.Endpoint{}
	}
	e, ok := endpoint(n, listener)
	if !ok {
		return nil, image.Endpoint{}
	}
	return n, e
}

// readReplica chooses from which replica a consumer of a rack should read; model.NoBroker: from this one, the leader. In-sync replicas have all
// that consumers can have read, so each will do; partitions spread over those of a rack.
func (b *Broker) readReplica(topic model.TopicID, partition int32, consumerRack, listener string) model.BrokerID {
	im := b.image()
	t := im.TopicByID(topic)
	if t == nil || int(partition) >= len(t.Partitions) {
		return model.NoBroker
	}
	p := t.Partitions[partition]
	var near []model.BrokerID
	for _, id := range p.ISR {
		n, _ := inService(im, id, listener)
		if n == nil || n.Rack != consumerRack {
			continue
		}
		if id == b.NodeID {
			return model.NoBroker
		}
		near = append(near, id)
	}
	if p.Leader != b.NodeID || len(near) == 0 {
		return model.NoBroker
	}
	return near[int(partition)%len(near)]
}
