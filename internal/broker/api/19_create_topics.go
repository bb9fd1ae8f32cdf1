package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
)

// CreateTopics (19), versions 2 to 7. Version 4 lets the broker choose partitions and replication factor, 5
// returns what it chose and the configuration in effect, 7 the topic IDs.
func (b *Broker) createTopics(ctx context.Context, _ *server.Request, req *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	topics := make([]controller.NewTopic, len(req.Topics))
	for i := range req.Topics {
		topics[i] = newTopic(&req.Topics[i])
	}
	answers, err := b.create(ctx, topics, req.ValidateOnly)
	resp := kmsg.NewPtrCreateTopicsResponse()
	for i := range answers {
		if err != nil && answers[i].Err == nil {
			answers[i].Err = err
		}
		resp.Topics = append(resp.Topics, createdTopic(&answers[i]))
	}
	return resp
}

// create decides and commits. The error is that of the commit: it holds for every topic that has none of its own.
func (b *Broker) create(ctx context.Context, topics []controller.NewTopic, validateOnly bool) (answers []controller.CreatedTopic, err error) {
	_, err = b.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
		commands, answers = controller.CreateTopics(in, topics, validateOnly)
		return commands, nil
	})
	if answers == nil { // nothing was even decided
		for _, t := range topics {
			answers = append(answers, controller.CreatedTopic{Name: t.Name})
		}
	}
	return answers, err
}

func newTopic(t *kmsg.CreateTopicsRequestTopic) controller.NewTopic {
	n := controller.NewTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	for _, a := range t.ReplicaAssignment {
		n.Assignments = append(n.Assignments, controller.Assignment{Partition: a.Partition, Replicas: a.Replicas})
	}
	for _, c := range t.Configs {
		n.Configs = append(n.Configs, controller.NewConfig{Name: c.Name, Value: c.Value})
	}
	return n
}

func createdTopic(a *controller.CreatedTopic) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic = a.Name
	if a.Err != nil {
		out.ErrorCode, out.ErrorMessage = Code(a.Err), message(a.Err)
		out.NumPartitions, out.ReplicationFactor = -1, -1
		return out
	}
	out.TopicID, out.NumPartitions, out.ReplicationFactor = a.ID, a.Partitions, a.ReplicationFactor
	for _, e := range a.Configs {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Key.Name, entryValue(e.Value, e.IsNull), e.ReadOnly, int8(e.Source), e.Sensitive
		out.Configs = append(out.Configs, c)
	}
	return out
}

// createMissing creates the topics that a Metadata request names and nobody has created, and returns the newest
// image. A topic that cannot be created is reported as missing by the caller.
func (b *Broker) createMissing(ctx context.Context, im *image.Image, asked []kmsg.MetadataRequestTopic) *image.Image {
	var missing []controller.NewTopic
	for _, t := range asked {
		if t.Topic != nil && *t.Topic != "" && im.Topic(*t.Topic) == nil {
			missing = append(missing, controller.NewTopic{Name: *t.Topic, Partitions: -1, ReplicationFactor: -1})
		}
	}
	if len(missing) == 0 {
		return im
	}
	_, _ = b.create(ctx, missing, false)
	return b.image()
}

// mayCreate tells whether naming a topic in this request may create it.
func (b *Broker) mayCreate(req *kmsg.MetadataRequest) bool {
	return b.Config().AutoCreateTopics && (req.Version < 4 || req.AllowAutoTopicCreation)
}
