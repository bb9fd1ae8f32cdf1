package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/wire"
)

// ElectLeaders (43), versions 0 to 2: preferred leaders lead again (KIP-183), and from version 1 on, whoever is there leads where nobody
// does, at the loss of what it lacks (KIP-460).
func (c *control) electLeaders(ctx context.Context, req *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	var partitions []model.TopicPartition // nil: wherever it is needed
	if req.Topics != nil {
		partitions = []model.TopicPartition{}
	}
	for _, t := range req.Topics {
		for _, n := range t.Partitions {
			partitions = append(partitions, model.TopicPartition{Topic: t.Topic, Partition: n})
		}
	}
	var answers []controller.Election
	err := checkTime(req.TimeoutMillis)
	if err == nil {
		_, err = c.decide(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
			commands, answers, err = controller.ElectLeaders(in, controller.ElectionType(req.ElectionType), partitions)
			return commands, err
		})
	}
	if err != nil { // nothing was elected
		answers = make([]controller.Election, len(partitions))
		for i, tp := range partitions {
			answers[i] = controller.Election{TopicPartition: tp, Err: err}
		}
	}
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.ErrorCode = Code(err)
	topics := wire.NewByTopic(func(topic string) kmsg.ElectLeadersResponseTopic {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = topic
		return t
	})
	for _, t := range req.Topics {
		topics.Of(t.Topic) // also one without partitions
	}
	for _, a := range answers {
		p := kmsg.NewElectLeadersResponseTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = a.Partition, Code(a.Err), message(a.Err)
		t := topics.Of(a.Topic)
		t.Partitions = append(t.Partitions, p)
	}
	resp.Topics = topics.Topics()
	return resp
}

// checkTime refuses a request that grants no time.
func checkTime(ms int32) error {
	if ms <= 0 {
		return errNoTime
	}
	return nil
}
