package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"

	"chronik/test/conformance/go/driver"
)

// stored is what Connect knows of how far a connector has come.
type stored struct {
	Offsets []struct {
		Partition struct {
			Filename string
			Topic    string `json:"kafka_topic"`
		}
		Offset struct {
			Position int64
			Offset   int64 `json:"kafka_offset"`
		}
	}
}

func (p *pipe) stored(ctx context.Context, connector string) (stored, error) {
	var s stored
	err := p.cluster.ask(ctx, http.MethodGet, "/connectors/"+connector+"/offsets", nil, &s)
	return s, err
}

// offsets: the source has come to the file's end, the sink to the topic's.
func (p *pipe) offsets(ctx context.Context) error {
	in, err := os.Stat(p.in)
	if err != nil {
		return err
	}
	return p.cluster.until(ctx, "both offsets are at the end", func() error {
		source, err := p.stored(ctx, p.source)
		if err != nil {
			return err
		}
		if len(source.Offsets) != 1 || source.Offsets[0].Partition.Filename != p.in || source.Offsets[0].Offset.Position != in.Size() {
			return fmt.Errorf("the source's offsets are %+v, want %d", source, in.Size())
		}
		sink, err := p.stored(ctx, p.sink)
		if err != nil {
			return err
		}
		if len(sink.Offsets) != 1 || sink.Offsets[0].Partition.Topic != p.topic || sink.Offsets[0].Offset.Offset <= p.last {
			return fmt.Errorf("the sink's offsets are %+v, want more than %d", sink, p.last)
		}
		return nil
	})
}

// storage: Connect has made its topics so that only the latest of each key is kept.
func (p *pipe) storage(ctx context.Context) error {
	topics := storageTopics(p.cluster.name)
	configs, err := kadm.NewClient(p.client).DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		c, err := configs.On(topic, nil)
		if err := errors.Join(err, c.Err); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		policy := ""
		for _, k := range c.Configs {
			if k.Key == "cleanup.policy" {
				policy = k.MaybeValue()
			}
		}
		if err := driver.Want("cleanup.policy of "+topic, policy, "compact"); err != nil {
			return err
		}
	}
	return nil
}

// forget has both connectors forget how far they have come: the source's offsets become tombstones, the sink's group is deleted.
func (p *pipe) forget(ctx context.Context) error {
	for _, connector := range []string{p.source, p.sink} {
		if err := p.cluster.ask(ctx, http.MethodPut, "/connectors/"+connector+"/stop", nil, nil); err != nil {
			return err
		}
		if err := p.cluster.until(ctx, "the offsets of "+connector+" are deleted", func() error {
			return p.cluster.ask(ctx, http.MethodDelete, "/connectors/"+connector+"/offsets", nil, nil)
		}); err != nil {
			return err
		}
		s, err := p.stored(ctx, connector)
		if err != nil {
			return err
		}
		if err := driver.Want("offsets left of "+connector, len(s.Offsets), 0); err != nil {
			return err
		}
	}
	groups, err := kadm.NewClient(p.client).ListGroups(ctx)
	if err != nil {
		return err
	}
	_, there := groups["connect-"+p.sink]
	return driver.Want("that there is still the sink's group", there, false)
}
