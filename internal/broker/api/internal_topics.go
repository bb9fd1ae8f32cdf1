package api

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/config"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
)

// coordinatorTopics are the topics in which coordinators keep what they must not forget, by kinds of keys.
var coordinatorTopics = [...]string{keyGroup: schema.Groups.Name, keyTransaction: schema.Transactions.Name, keyShare: schema.Shares.Name}

// isInternal tells whether a topic is a coordinator's: Kafka's clients hide it from patterns, and only its coordinator writes to it.
func isInternal(name string) bool {
	return strings.HasPrefix(name, "__") && slices.Contains(coordinatorTopics[:], name)
}

// creationTime is how long a client waits at most for a topic that it needs, and nobody has needed before.
const creationTime = 5 * time.Second

// withTopic returns an image that has one of the coordinators' topics. If there is none it has the controller create it; the image that is
// returned lacks the topic if that takes long. Without a request it is this broker that needs it.
func (b *Broker) withTopic(ctx context.Context, r *server.Request, name string) *image.Image {
	im := b.image()
	if im.Topic(name) != nil {
		return im
	}
	ctx, cancel := context.WithTimeout(ctx, creationTime)
	defer cancel()
	select {
	case b.creating <- struct{}{}: // one at a time: a whole application starts at once
		defer func() { <-b.creating }()
	case <-ctx.Done():
		return b.image()
	}
	return b.createMissing(ctx, r, b.image(), []kmsg.MetadataRequestTopic{{Topic: &name}})
}

// coordinatorTopic is how a topic of coordinators is made if whoever creates it leaves that to us, and says nothing but perhaps configs:
// with as many replicas as there are brokers, if these are fewer than it should have. It is never relaxed (D2).
func coordinatorTopic(c *config.Broker, name string, configs []controller.NewConfig) controller.NewTopic {
	var of config.CoordinatorTopic
	own := []string{"flush.messages", "1"}
	switch name {
	case schema.Groups.Name:
		of = c.Groups.Topic
		own = append(own, "cleanup.policy", "compact", "compression.type", "producer")
	case schema.Transactions.Name:
		of = c.Transactions.Topic
		own = append(own, "cleanup.policy", "compact", "compression.type", "uncompressed", "unclean.leader.election.enable", "false")
	case schema.Shares.Name:
		of = c.Shares.Topic
		own = append(own, "cleanup.policy", "delete", "retention.ms", "-1", "compression.type", "producer")
	}
	own = append(own, "segment.bytes", strconv.Itoa(int(of.SegmentBytes)))
	if of.MinISR > 0 {
		own = append(own, "min.insync.replicas", strconv.Itoa(int(of.MinISR)))
	}
	t := controller.NewTopic{Name: name, Partitions: of.Partitions, ReplicationFactor: of.ReplicationFactor, Configs: configs, Internal: true}
	for i := 0; i < len(own); i += 2 {
		if !slices.ContainsFunc(configs, func(c controller.NewConfig) bool { return c.Name == own[i] }) {
			t.Configs = append(t.Configs, controller.NewConfig{Name: own[i], Value: &own[i+1]})
		}
	}
	return t
}

// CreateShareStates has __share_group_state created if it does not exist: it is sharestate.Options.Create.
func (b *Broker) CreateShareStates(ctx context.Context) error {
	if b.withTopic(ctx, nil, schema.Shares.Name).Topic(schema.Shares.Name) == nil {
		return errNoCoordinator
	}
	return nil
}
