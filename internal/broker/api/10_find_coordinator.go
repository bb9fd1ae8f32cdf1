package api

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Versions of FindCoordinator that can ask for more.
const (
	findMany   = 4
	findShares = 6
)

// What is coordinated, as FindCoordinator numbers it.
const (
	keyGroup int8 = iota
	keyTransaction
	keyShare
)

// FindCoordinator (10), versions 0 to 6: which broker coordinates a group, a transactional ID (version 1) or a share partition (version 6).
// Version 4 has several keys. The topics of coordinators are made here, when they are first needed.
func (b *Broker) findCoordinator(ctx context.Context, r *server.Request, req *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	keys := req.CoordinatorKeys
	if req.Version < findMany {
		keys = []string{req.CoordinatorKey}
	}
	f := finding{broker: b, ctx: ctx, req: r}
	resp := kmsg.NewPtrFindCoordinatorResponse()
	for _, key := range keys {
		out := kmsg.NewFindCoordinatorResponseCoordinator()
		out.Key, out.NodeID, out.Port = key, int32(model.NoBroker), -1
		n, at, err := f.find(req.CoordinatorType, key, req.Version)
		out.ErrorCode, out.ErrorMessage = Code(err), message(err)
		if err == nil {
			out.NodeID, out.Host, out.Port = int32(n.ID), at.Host, int32(at.Port)
		}
		resp.Coordinators = append(resp.Coordinators, out)
	}
	if req.Version < findMany {
		c := &resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
	}
	return resp
}

// finding is a FindCoordinator request at work.
type finding struct {
	broker *Broker
	ctx    context.Context
	req    *server.Request
	image  *image.Image // nil: the topic has not been needed yet
}

// find returns the broker that coordinates a key, and where this client reaches it.
func (f *finding) find(kind int8, key string, version int16) (*image.Node, image.Endpoint, error) {
	name, err := coordinated(kind, key, version)
	if err != nil {
		return nil, image.Endpoint{}, err
	}
	topic := coordinatorTopics[kind]
	if f.image == nil {
		f.image = f.broker.withTopic(f.ctx, f.req, topic)
	}
	t := f.image.Topic(topic)
	if t == nil {
		return nil, image.Endpoint{}, errNoCoordinator
	}
	p := t.Partitions[schema.Partition(name, int32(len(t.Partitions)))]
	leader, err := f.broker.view(f.image, f.req.Conn.Listener(), math.MaxInt16).leader(p)
	if err != nil {
		return nil, image.Endpoint{}, fmt.Errorf("%w: %v", errNoCoordinator, err) // of which clients understand the first
	}
	n, at := inService(f.image, leader, f.req.Conn.Listener())
	return n, at, nil
}

// coordinated is the name by which the coordinator of a key is found.
func coordinated(kind int8, key string, version int16) (string, error) {
	switch {
	case kind == keyGroup || kind == keyTransaction:
		return key, nil
	case kind == keyShare && version >= findShares:
		k, err := parseShareKey(key)
		return k.Coordinated(), err
	}
	return "", fmt.Errorf("%w: version %d cannot ask for coordinators of type %d", errInvalidRequest, version, kind)
}

// parseShareKey reads "group:topicID:partition". Groups may have colons.
func parseShareKey(s string) (schema.SharePartitionKey, error) {
	bad := fmt.Errorf("%w: %q is not of the form group:topicID:partition", errInvalidRequest, s)
	j := strings.LastIndexByte(s, ':')
	i := strings.LastIndexByte(s[:max(j, 0)], ':')
	if i <= 0 {
		return schema.SharePartitionKey{}, bad
	}
	id, err := model.ParseTopicID(s[i+1 : j])
	if err != nil {
		return schema.SharePartitionKey{}, bad
	}
	n, err := strconv.ParseInt(s[j+1:], 10, 32)
	if err != nil {
		return schema.SharePartitionKey{}, bad
	}
	return schema.SharePartitionKey{Group: s[:i], TopicID: id, Partition: int32(n)}, nil
}
