package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"chronik/test/conformance/go/driver"
)

func others(e *driver.Env) {
	for _, c := range []struct {
		name string
		run  func(context.Context, *driver.Env) error
	}{
		{"large-record", large}, {"too-large", tooLarge}, {"unknown-topic", unknownTopic}, {"auto-create", autoCreate},
		{"create-topic-errors", createErrors}, {"configs", configs}, {"create-partitions", createPartitions},
		{"metadata", metadata}, {"delete-topic", deleteTopic},
	} {
		e.Check(c.name, func(ctx context.Context) error { return c.run(ctx, e) })
	}
}

// wantKafka expects err, or one of the errors of a batch, to be want.
func wantKafka(err error, want kafka.Error) error {
	var batch kafka.WriteErrors
	if errors.As(err, &batch) && len(batch) > 0 {
		err = batch[0]
	}
	var tooLarge kafka.MessageTooLargeError
	if errors.Is(err, want) || want == kafka.MessageSizeTooLarge && errors.As(err, &tooLarge) {
		return nil
	}
	return fmt.Errorf("answered %v, want %v", err, want)
}

func send(ctx context.Context, e *driver.Env, topic string, partition int32, value []byte, tune func(*kafka.Writer)) error {
	w := writer(e, topic)
	w.BatchBytes = 8 << 20
	if tune != nil {
		tune(w)
	}
	return errors.Join(w.WriteMessages(ctx, kafka.Message{Value: value, WriterData: partition}), w.Close())
}

func large(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("large")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	want := bytes.Repeat([]byte("0123456789abcdef!"), 900_000/17)
	r := reader(e, topic, 0)
	defer r.Close()
	for range 3 {
		if err := send(ctx, e, topic, 0, want, nil); err != nil {
			return err
		}
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if !bytes.Equal(m.Value, want) {
			return fmt.Errorf("offset %d came back different (%d bytes)", m.Offset, len(m.Value))
		}
	}
	return nil
}

func tooLarge(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("too-large")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	err := send(ctx, e, topic, 0, make([]byte, 2_000_000), nil)
	if err := wantKafka(err, kafka.MessageSizeTooLarge); err != nil {
		return err
	}
	return send(ctx, e, topic, 0, []byte("small"), nil)
}

func unknownTopic(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("never-created")
	err := send(ctx, e, topic, 0, []byte("v"), func(w *kafka.Writer) { w.MaxAttempts = 2 })
	return wantKafka(err, kafka.UnknownTopicOrPartition)
}

// autoCreate asks again while the topic is being made: the first answer is UNKNOWN_TOPIC_OR_PARTITION or LEADER_NOT_AVAILABLE.
func autoCreate(ctx context.Context, e *driver.Env) error {
	for {
		err := send(ctx, e, e.Topic("auto"), 0, []byte("v"), func(w *kafka.Writer) { w.AllowAutoTopicCreation = true })
		if ctx.Err() != nil || !errors.Is(err, kafka.UnknownTopicOrPartition) && !errors.Is(err, kafka.LeaderNotAvailable) {
			return err
		}
	}
}

func createErrors(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("exists")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	return errors.Join(
		wantKafka(create(ctx, e, topic, 1), kafka.TopicAlreadyExists),
		wantKafka(create(ctx, e, e.Topic("none"), 0), kafka.InvalidPartitionNumber),
		wantKafka(create(ctx, e, "no spaces allowed", 1), kafka.InvalidTopic),
	)
}

func configs(ctx context.Context, e *driver.Env) error {
	topic, c := e.Topic("configs"), client(e)
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	check := func(key, want string) error {
		return driver.Soon(func() error {
			got, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key},
			}}})
			if err != nil {
				return err
			}
			if r := got.Resources[0]; r.Error != nil || len(r.ConfigEntries) != 1 {
				return fmt.Errorf("asked for %s, got %d configs, %v", key, len(r.ConfigEntries), r.Error)
			}
			return driver.Want(key, got.Resources[0].ConfigEntries[0].ConfigValue, want)
		})
	}
	set := func(value string) error {
		got, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "segment.ms", Value: value, ConfigOperation: kafka.ConfigOperationSet}}}},
		})
		if err != nil {
			return err
		}
		return got.Resources[0].Error
	}
	return errors.Join(check("retention.ms", "-1"), check("segment.ms", "604800000"), set("3600000"), check("segment.ms", "3600000"),
		wantKafka(set("many"), kafka.InvalidConfiguration))
}

func createPartitions(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("grow")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	grow := func(to int32) error {
		got, err := client(e).CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: to}},
		})
		if err != nil {
			return err
		}
		return got.Errors[topic]
	}
	if err := errors.Join(grow(4), wantKafka(grow(2), kafka.InvalidPartitionNumber)); err != nil {
		return err
	}
	for {
		m, err := client(e).Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		if len(m.Topics[0].Partitions) == 4 {
			return send(ctx, e, topic, 3, []byte("v"), nil)
		}
	}
}

func metadata(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("grow")
	got, err := client(e).Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic, e.Topic("never-created")}})
	if err != nil {
		return err
	}
	if got.ClusterID == "" || len(got.Brokers) == 0 || len(got.Topics) != 2 {
		return fmt.Errorf("cluster %q, %d brokers, %d topics", got.ClusterID, len(got.Brokers), len(got.Topics))
	}
	for _, t := range got.Topics {
		if t.Name == topic {
			err = errors.Join(err, t.Error, driver.Want("partitions", len(t.Partitions), 4))
		} else {
			err = errors.Join(err, wantKafka(t.Error, kafka.UnknownTopicOrPartition))
		}
	}
	return err
}

func deleteTopic(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("delete")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	remove := func() error {
		got, err := client(e).DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		return got.Errors[topic]
	}
	return errors.Join(remove(), wantKafka(remove(), kafka.UnknownTopicOrPartition), create(ctx, e, topic, 1))
}
