package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/conformance/go/driver"
)

func admin(e *driver.Env) {
	for _, check := range []struct {
		name string
		run  func(context.Context, *driver.Env, *kadm.Client) error
	}{
		{"create-topic-exists", createExists},
		{"describe-configs", describeConfigs},
		{"alter-configs", alterConfigs},
		{"create-partitions", createPartitions},
		{"describe-cluster", describeCluster},
		{"describe-log-dirs", describeLogDirs},
		{"describe-producers", describeProducers},
		{"metadata-by-id", metadataByID},
		{"delete-topic", deleteTopic},
	} {
		e.Check(check.name, func(ctx context.Context) error {
			c, err := client(e)
			if err != nil {
				return err
			}
			defer c.Close()
			return check.run(ctx, e, kadm.NewClient(c))
		})
	}
}

func createExists(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("exists")
	if _, err := a.CreateTopic(ctx, 2, driver.Replicas, nil, topic); err != nil {
		return err
	}
	_, err := a.CreateTopic(ctx, 2, driver.Replicas, nil, topic)
	if err := driver.WantError(err, "TOPIC_ALREADY_EXISTS"); err != nil {
		return err
	}
	_, err = a.CreateTopic(ctx, 0, driver.Replicas, nil, e.Topic("none"))
	if err := driver.WantError(err, "INVALID_PARTITIONS"); err != nil {
		return err
	}
	_, err = a.CreateTopic(ctx, 1, 5, nil, e.Topic("five"))
	if err := driver.WantError(err, "INVALID_REPLICATION_FACTOR"); err != nil {
		return err
	}
	_, err = a.CreateTopic(ctx, 1, driver.Replicas, nil, "no spaces allowed")
	return driver.WantError(err, "INVALID_TOPIC_EXCEPTION")
}

func describe(ctx context.Context, a *kadm.Client, topic, key string) (kadm.Config, error) {
	all, err := a.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return kadm.Config{}, err
	}
	rc, err := all.On(topic, nil)
	if err == nil {
		err = rc.Err
	}
	for _, c := range rc.Configs {
		if c.Key == key {
			return c, err
		}
	}
	return kadm.Config{}, fmt.Errorf("%s: no %s among %d configs: %v", topic, key, len(rc.Configs), err)
}

func describeConfigs(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic, value := e.Topic("configs"), "12345678"
	if _, err := a.CreateTopic(ctx, 1, driver.Replicas, map[string]*string{"segment.bytes": &value}, topic); err != nil {
		return err
	}
	for key, want := range map[string]struct {
		value  string
		source kmsg.ConfigSource
	}{
		"segment.bytes":     {value, kmsg.ConfigSourceDynamicTopicConfig},
		"cleanup.policy":    {"delete", kmsg.ConfigSourceDefaultConfig},
		"retention.ms":      {"604800000", kmsg.ConfigSourceDefaultConfig},
		"max.message.bytes": {"1048588", kmsg.ConfigSourceDefaultConfig},
		"compression.type":  {"producer", kmsg.ConfigSourceDefaultConfig},
	} {
		err := driver.Soon(func() error {
			c, err := describe(ctx, a, topic, key)
			if err != nil {
				return err
			}
			if c.MaybeValue() != want.value || c.Source != want.source {
				return fmt.Errorf("%s is %q from %v, want %q from %v", key, c.MaybeValue(), c.Source, want.value, want.source)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func alterConfigs(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("alter")
	if _, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic); err != nil {
		return err
	}
	set := func(op kadm.IncrementalOp, key, value string) error {
		got, err := a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &value}}, topic)
		if err != nil {
			return err
		}
		_, err = got.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		return err
	}
	for _, step := range []struct {
		op               kadm.IncrementalOp
		key, value, want string
	}{
		{kadm.SetConfig, "retention.ms", "3600000", "3600000"},
		{kadm.AppendConfig, "cleanup.policy", "compact", "delete,compact"},
		{kadm.SubtractConfig, "cleanup.policy", "compact", "delete"},
		{kadm.DeleteConfig, "retention.ms", "", "604800000"},
	} {
		if err := set(step.op, step.key, step.value); err != nil {
			return fmt.Errorf("%s %s: %w", step.key, step.value, err)
		}
		err := driver.Soon(func() error {
			c, err := describe(ctx, a, topic, step.key)
			if err != nil {
				return err
			}
			return driver.Want(step.key, c.MaybeValue(), step.want)
		})
		if err != nil {
			return err
		}
	}
	if err := driver.WantError(set(kadm.SetConfig, "no.such.key", "1"), "INVALID_CONFIG"); err != nil {
		return err
	}
	return driver.WantError(set(kadm.SetConfig, "retention.ms", "many"), "INVALID_CONFIG")
}

func createPartitions(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("grow")
	if _, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic); err != nil {
		return err
	}
	grow := func(to int) error {
		got, err := a.UpdatePartitions(ctx, to, topic)
		if err != nil {
			return err
		}
		_, err = got.On(topic, func(r *kadm.CreatePartitionsResponse) error { return r.Err })
		return err
	}
	if err := grow(4); err != nil {
		return err
	}
	if err := driver.WantError(grow(2), "INVALID_PARTITIONS"); err != nil {
		return err
	}
	return driver.Soon(func() error {
		c, err := client(e, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		defer c.Close()
		return c.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 3, Value: []byte("v")}).FirstErr()
	})
}

func describeCluster(ctx context.Context, _ *driver.Env, a *kadm.Client) error {
	m, err := a.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if m.Cluster == "" || len(m.Brokers) == 0 || !slices.Contains(m.Brokers.NodeIDs(), m.Controller) {
		return fmt.Errorf("metadata says cluster %q, brokers %v, controller %d", m.Cluster, m.Brokers.NodeIDs(), m.Controller)
	}
	return nil
}

func describeLogDirs(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("log-dirs")
	if _, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic); err != nil {
		return err
	}
	return driver.Soon(func() error {
		all, err := a.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		for _, dirs := range all {
			for _, dir := range dirs {
				if dir.Err != nil {
					return dir.Err
				}
				if _, ok := dir.Topics.Lookup(topic, 0); ok {
					return nil
				}
			}
		}
		return fmt.Errorf("no log directory holds %s", topic)
	})
}

func describeProducers(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("producers")
	if _, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic); err != nil {
		return err
	}
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
		return err
	}
	id, epoch, err := c.ProducerID(ctx)
	if err != nil {
		return err
	}
	var ask kadm.TopicsSet
	ask.Add(topic, 0)
	got, err := a.DescribeProducers(ctx, ask)
	if err != nil {
		return err
	}
	for _, p := range got.SortedProducers() {
		if p.ProducerID == id && p.ProducerEpoch == epoch && p.LastSequence == 0 {
			return nil
		}
	}
	return fmt.Errorf("producer %d epoch %d is not among %v", id, epoch, got.SortedProducers())
}

func metadataByID(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("by-id")
	created, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic)
	if err != nil {
		return err
	}
	err = driver.Soon(func() error {
		byName, err := a.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		return driver.Want("topic ID by name", byName[topic].ID, created.ID)
	})
	if err != nil {
		return err
	}
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	ask := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.TopicID = created.ID
	ask.Topics = append(ask.Topics, t)
	got, err := ask.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	if len(got.Topics) != 1 || got.Topics[0].Topic == nil || *got.Topics[0].Topic != topic || got.Topics[0].ErrorCode != 0 {
		return fmt.Errorf("metadata of %s by its ID: %+v", topic, got.Topics)
	}
	return nil
}

func deleteTopic(ctx context.Context, e *driver.Env, a *kadm.Client) error {
	topic := e.Topic("delete")
	first, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic)
	if err != nil {
		return err
	}
	if _, err := a.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	_, err = a.DeleteTopic(ctx, topic)
	if err := driver.WantError(err, "UNKNOWN_TOPIC_OR_PARTITION"); err != nil {
		return err
	}
	second, err := a.CreateTopic(ctx, 1, driver.Replicas, nil, topic)
	if err != nil {
		return err
	}
	if first.ID == second.ID {
		return fmt.Errorf("the topic created again has the ID of the deleted one")
	}
	return nil
}
