package api

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

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

// newestLeader is whom the client should ask instead of this broker, at the time of the answer: as the error told, or as the metadata tell by now. An append
// that a change of leaders cut off knows only that it was cut off, and a client that is told no more waits before it asks for the metadata. Nobody is
// named where this broker is to lead itself, and does not yet: the client would ask here again and again.
func (b *Broker) newestLeader(code int16, told *wire.CurrentLeader, topic string, id model.TopicID, partition int32) *wire.CurrentLeader {
	if code != kerr.NotLeaderForPartition.Code && code != kerr.FencedLeaderEpoch.Code {
		return told
	}
	im := b.image()
	t := im.TopicByID(id)
	if id.IsZero() {
		t = im.Topic(topic)
	}
	if t == nil || partition < 0 || int(partition) >= len(t.Partitions) {
		return told
	}
	p := t.Partitions[partition]
	switch {
	case told != nil && told.Epoch >= p.LeaderEpoch:
		return told
	case p.Leader == model.NoBroker || p.Leader == b.NodeID:
		return nil
	}
	return &wire.CurrentLeader{ID: p.Leader, Epoch: p.LeaderEpoch}
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
