package api

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
)

// CreateTopics (19), versions 2 to 7. Version 4 lets the broker choose partitions and replication factor, 5
// returns what it chose and the configuration in effect, 7 the topic IDs. Of a coordinators' topic the broker chooses what its keys say.
func (c *control) createTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	topics := make([]controller.NewTopic, len(req.Topics))
	for i := range req.Topics {
		topics[i] = c.newTopic(&req.Topics[i])
	}
	answers, err := c.create(ctx, topics, req.ValidateOnly)
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
func (c *control) create(ctx context.Context, topics []controller.NewTopic, validateOnly bool) (answers []controller.CreatedTopic, err error) {
	_, err = c.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
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

func (c *control) newTopic(t *kmsg.CreateTopicsRequestTopic) controller.NewTopic {
	n := controller.NewTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	for _, a := range t.ReplicaAssignment {
		n.Assignments = append(n.Assignments, controller.Assignment{Partition: a.Partition, Replicas: a.Replicas})
	}
	for _, v := range t.Configs {
		n.Configs = append(n.Configs, controller.NewConfig{Name: v.Name, Value: v.Value})
	}
	if n.Partitions == -1 && n.ReplicationFactor == -1 && len(n.Assignments) == 0 && isInternal(n.Name) {
		return coordinatorTopic(c.Config(), n.Name, n.Configs)
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

// createMissing has the controller create the topics that a Metadata request names and nobody has created, and returns an image that
// has them, if it comes soon. A topic that cannot be created is reported as missing by the caller.
func (b *Broker) createMissing(ctx context.Context, r *server.Request, im *image.Image, asked []kmsg.MetadataRequestTopic) *image.Image {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(req.MaxVersion())
	for _, t := range asked {
		if t.Topic != nil && *t.Topic != "" && im.Topic(*t.Topic) == nil {
			missing := kmsg.NewCreateTopicsRequestTopic()
			missing.Topic, missing.NumPartitions, missing.ReplicationFactor = *t.Topic, -1, -1
			req.Topics = append(req.Topics, missing)
		}
	}
	if len(req.Topics) == 0 {
		return im
	}
	made := b.ask(ctx, r, req).(*kmsg.CreateTopicsResponse)
	made.Topics = slices.DeleteFunc(made.Topics, func(t kmsg.CreateTopicsResponseTopic) bool { return t.ErrorCode != 0 })
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	im = b.image()
	for slices.ContainsFunc(made.Topics, func(t kmsg.CreateTopicsResponseTopic) bool { return im.TopicByID(t.TopicID) == nil }) {
		next, err := b.Metadata.Images().Wait(ctx, im.Index()+1)
		if err != nil {
			break
		}
		im = next
	}
	return im
}

// followTime is how long a broker waits for what the controller has just committed.
const followTime = time.Second

// mayCreate tells whether naming a topic in this request may create it.
func (b *Broker) mayCreate(req *kmsg.MetadataRequest) bool {
	return b.Config().AutoCreateTopics && (req.Version < 4 || req.AllowAutoTopicCreation)
}
