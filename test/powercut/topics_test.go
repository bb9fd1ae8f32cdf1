package powercut

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// id is a topic's identity.
type id = [16]byte

// createTopic creates a topic and returns its ID. An answer that got lost may have been a success: then the topic is
// there, and nobody else can have made it.
func (a asker) createTopic(ctx context.Context, name string, partitions int32, configs map[string]string) (created id, err error) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for key, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		topic.Configs = append(topic.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	err = until(ctx, func(before int) error {
		resp, err := ask[*kmsg.CreateTopicsResponse](ctx, a, req)
		if err != nil {
			return sure(err, 0)
		}
		err = sure(nil, resp.Topics[0].ErrorCode)
		created = resp.Topics[0].TopicID
		if before > 0 && errors.Is(err, kerr.TopicAlreadyExists) {
			found, partitions, err := a.lookUp(ctx, name)
			if err == nil && partitions == 0 {
				err = fmt.Errorf("creating %s says that it exists, the metadata say that it does not", name)
			}
			created = found
			return err
		}
		return err
	})
	if err != nil {
		return id{}, fmt.Errorf("creating %s: %w", name, err)
	}
	return created, nil
}

// deleteTopic deletes a topic that was acknowledged to exist.
func (a asker) deleteTopic(ctx context.Context, name string) error {
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Topics = append(req.Topics, topic)
	err := until(ctx, func(before int) error {
		resp, err := ask[*kmsg.DeleteTopicsResponse](ctx, a, req)
		if err != nil {
			return sure(err, 0)
		}
		err = sure(nil, resp.Topics[0].ErrorCode)
		if before > 0 && errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting %s: %w", name, err)
	}
	return nil
}

// lookUp returns a topic's ID and its number of partitions, 0 if there is none of the name.
func (a asker) lookUp(ctx context.Context, name string) (found id, partitions int32, err error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := ask[*kmsg.MetadataResponse](ctx, a, req)
	if err != nil {
		return id{}, 0, sure(err, 0)
	}
	t := &resp.Topics[0]
	if errors.Is(kerr.ErrorForCode(t.ErrorCode), kerr.UnknownTopicOrPartition) {
		return id{}, 0, nil
	}
	return t.TopicID, int32(len(t.Partitions)), sure(nil, t.ErrorCode)
}

// addPartitions raises a topic's number of partitions.
func (a asker) addPartitions(ctx context.Context, name string, to int32) error {
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = name, to
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = append(req.Topics, topic)
	err := until(ctx, func(before int) error {
		resp, err := ask[*kmsg.CreatePartitionsResponse](ctx, a, req)
		if err != nil {
			return sure(err, 0)
		}
		err = sure(nil, resp.Topics[0].ErrorCode)
		if before > 0 && errors.Is(err, kerr.InvalidPartitions) {
			return nil // it has as many already
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("giving %s %d partitions: %w", name, to, err)
	}
	return nil
}

// configResource names what a configuration is of: a topic, or with no name every broker.
func configResource(topic string) (kmsg.ConfigResourceType, string) {
	if topic == "" {
		return kmsg.ConfigResourceTypeBroker, ""
	}
	return kmsg.ConfigResourceTypeTopic, topic
}

// configure sets one key of a topic, or of all brokers.
func (a asker) configure(ctx context.Context, topic, key string, value int) error {
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	text := strconv.Itoa(value)
	c.Name, c.Value = key, &text
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = configResource(topic)
	res.Configs = append(res.Configs, c)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, res)
	err := until(ctx, func(int) error {
		resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](ctx, a, req)
		if err != nil {
			return sure(err, 0)
		}
		return sure(nil, resp.Resources[0].ErrorCode)
	})
	if err != nil {
		return fmt.Errorf("setting %s of %q: %w", key, topic, err)
	}
	return nil
}

// configured returns one key of a topic, or of all brokers.
func (a asker) configured(ctx context.Context, topic, key string) (string, error) {
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = configResource(topic)
	res.ConfigNames = []string{key}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, res)
	resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, a, req)
	if err != nil {
		return "", err
	}
	if err := kerr.ErrorForCode(resp.Resources[0].ErrorCode); err != nil {
		return "", err
	}
	for _, c := range resp.Resources[0].Configs {
		if c.Name == key && c.Value != nil {
			return *c.Value, nil
		}
	}
	return "", nil
}
