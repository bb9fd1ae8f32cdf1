package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

func others(e *driver.Env) {
	for _, c := range []struct {
		name string
		run  func(context.Context, *driver.Env) error
	}{
		{"large-record", large}, {"too-large", tooLarge}, {"unknown-topic", unknownTopic}, {"auto-create", autoCreate},
		{"create-topic-errors", createErrors}, {"configs", configs}, {"create-partitions", createPartitions},
		{"describe-cluster", describeCluster}, {"describe-log-dirs", logDirs}, {"delete-records", deleteRecords},
		{"delete-topic", deleteTopic},
	} {
		e.Check(c.name, func(ctx context.Context) error { return c.run(ctx, e) })
	}
}

// send produces one record and returns its offset.
func send(e *driver.Env, topic string, partition int32, value []byte, tune func(*sarama.Config)) (int64, error) {
	conf := config()
	if tune != nil {
		tune(conf)
	}
	p, err := sarama.NewSyncProducer(e.Servers(), conf)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.ByteEncoder(value)})
	return offset, err
}

func large(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("large")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	want := bytes.Repeat([]byte("0123456789abcdef!"), 900_000/17)
	for range 3 {
		if _, err := send(e, topic, 0, want, nil); err != nil {
			return err
		}
	}
	unchanged, n := true, 0
	err := consume(ctx, e, topic, 0, sarama.OffsetOldest, func(m *sarama.ConsumerMessage) bool {
		unchanged = unchanged && bytes.Equal(m.Value, want)
		n++
		return n == 3
	})
	if err != nil {
		return err
	}
	return driver.Want("all unchanged", unchanged, true)
}

func tooLarge(_ context.Context, e *driver.Env) error {
	topic := e.Topic("too-large")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	_, err := send(e, topic, 0, make([]byte, 2_000_000), func(c *sarama.Config) { c.Producer.MaxMessageBytes = 8 << 20 })
	if !errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		return fmt.Errorf("answered %v, want %v", err, sarama.ErrMessageSizeTooLarge)
	}
	offset, err := send(e, topic, 0, []byte("small"), nil)
	if err != nil {
		return err
	}
	return driver.Want("offset after the refusal", offset, 0)
}

func unknownTopic(_ context.Context, e *driver.Env) error {
	_, err := send(e, e.Topic("never-created"), 0, []byte("v"), func(c *sarama.Config) { c.Metadata.Retry.Max = 1 })
	if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return fmt.Errorf("answered %v, want %v", err, sarama.ErrUnknownTopicOrPartition)
	}
	return nil
}

func autoCreate(_ context.Context, e *driver.Env) error {
	offset, err := send(e, e.Topic("auto"), 0, []byte("v"), func(c *sarama.Config) { c.Metadata.AllowAutoTopicCreation = true })
	if err != nil {
		return err
	}
	return driver.Want("offset", offset, 0)
}

func wantSarama(err error, want sarama.KError) error {
	var topic *sarama.TopicError
	if errors.As(err, &topic) && topic.Err == want || errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("answered %v, want %v", err, want)
}

func createErrors(_ context.Context, e *driver.Env) error {
	topic := e.Topic("exists")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	return errors.Join(
		wantSarama(create(e, topic, 1), sarama.ErrTopicAlreadyExists),
		wantSarama(create(e, e.Topic("none"), 0), sarama.ErrInvalidPartitions),
		wantSarama(create(e, "no spaces allowed", 1), sarama.ErrInvalidTopic),
	)
}

func configs(_ context.Context, e *driver.Env) error {
	topic := e.Topic("configs")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		check := func(key, want string) error {
			return driver.Soon(func() error {
				got, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}})
				if err != nil {
					return err
				}
				if len(got) != 1 {
					return fmt.Errorf("asked for %s, got %d configs", key, len(got))
				}
				return driver.Want(key, got[0].Value, want)
			})
		}
		hour, many := "3600000", "many"
		set := func(v string) map[string]sarama.IncrementalAlterConfigsEntry {
			return map[string]sarama.IncrementalAlterConfigsEntry{
				"segment.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &v},
			}
		}
		if err := errors.Join(check("retention.ms", "-1"), check("segment.ms", "604800000"),
			a.IncrementalAlterConfig(sarama.TopicResource, topic, set(hour), false), check("segment.ms", hour)); err != nil {
			return err
		}
		if a.IncrementalAlterConfig(sarama.TopicResource, topic, set(many), false) == nil {
			return errors.New("segment.ms=many was taken")
		}
		// AlterConfigs replaces all: what is not named falls back to its default.
		if err := a.AlterConfig(sarama.TopicResource, topic, map[string]*string{"segment.ms": &hour}, false); err != nil {
			return err
		}
		return errors.Join(check("segment.ms", hour), check("retention.ms", "604800000"))
	})
}

func createPartitions(_ context.Context, e *driver.Env) error {
	topic := e.Topic("grow")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	err := withAdmin(e, func(a sarama.ClusterAdmin) error {
		if err := a.CreatePartitions(topic, 4, nil, false); err != nil {
			return err
		}
		if a.CreatePartitions(topic, 2, nil, false) == nil {
			return errors.New("4 partitions became 2")
		}
		return driver.Soon(func() error {
			got, err := a.DescribeTopics([]string{topic})
			if err != nil {
				return err
			}
			return driver.Want("partitions", len(got[0].Partitions), 4)
		})
	})
	if err != nil {
		return err
	}
	_, err = send(e, topic, 3, []byte("v"), nil)
	return err
}

func describeCluster(_ context.Context, e *driver.Env) error {
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		brokers, controller, err := a.DescribeCluster()
		if err != nil {
			return err
		}
		for _, b := range brokers {
			if b.ID() == controller {
				return nil
			}
		}
		return fmt.Errorf("controller %d is not among %d brokers", controller, len(brokers))
	})
}

func logDirs(_ context.Context, e *driver.Env) error {
	topic := e.Topic("exists")
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		brokers, _, err := a.DescribeCluster()
		if err != nil {
			return err
		}
		for _, b := range brokers {
			got, err := a.DescribeLogDirs([]int32{b.ID()})
			if err != nil {
				return err
			}
			for _, dir := range got[b.ID()] {
				if slices.ContainsFunc(dir.Topics, func(t sarama.DescribeLogDirsResponseTopic) bool { return t.Topic == topic }) {
					return nil
				}
			}
		}
		return fmt.Errorf("no log directory holds %s", topic)
	})
}

func deleteRecords(ctx context.Context, e *driver.Env) error {
	small := *e
	small.Records = 300
	t := dataset.MustParse(dataset.Name(e.Client, "delrec", profile))
	conf := config()
	conf.Producer.RequiredAcks = sarama.WaitForAll // only what all replicas have can be deleted
	if err := produce(&small, t, conf); err != nil {
		return err
	}
	err := withAdmin(e, func(a sarama.ClusterAdmin) error {
		if err := a.DeleteRecords(t.Name, map[int32]int64{0: 40}); err != nil {
			return err
		}
		if a.DeleteRecords(t.Name, map[int32]int64{0: 1000}) == nil {
			return errors.New("records past the end were deleted")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := consume(ctx, e, t.Name, 0, 5, func(*sarama.ConsumerMessage) bool { return true }); !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		return fmt.Errorf("reading a deleted offset answered %v, want %v", err, sarama.ErrOffsetOutOfRange)
	}
	first := int64(-1)
	err = consume(ctx, e, t.Name, 0, sarama.OffsetOldest, func(m *sarama.ConsumerMessage) bool { first = m.Offset; return true })
	if err != nil {
		return err
	}
	return driver.Want("first offset", first, 40)
}

func deleteTopic(_ context.Context, e *driver.Env) error {
	topic := e.Topic("delete")
	if err := create(e, topic, 1); err != nil {
		return err
	}
	err := withAdmin(e, func(a sarama.ClusterAdmin) error {
		if err := a.DeleteTopic(topic); err != nil {
			return err
		}
		return wantSarama(a.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition)
	})
	if err != nil {
		return err
	}
	return create(e, topic, 1)
}
