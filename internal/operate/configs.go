package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
)

// topicConfigs asks for some configurations of topics. Topics that are no longer there are left out.
func (c *Client) topicConfigs(ctx context.Context, topics []string, names ...string) (map[string]map[string]string, error) {
	out := make(map[string]map[string]string, len(topics))
	for some := range slices.Chunk(topics, topicsAtOnce) {
		if err := c.describe(ctx, kmsg.ConfigResourceTypeTopic, some, names, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describe adds the values of resources that have one to out.
func (c *Client) describe(ctx context.Context, kind kmsg.ConfigResourceType, of, names []string, out map[string]map[string]string) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range of {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
		req.Resources = append(req.Resources, r)
	}
	resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, c, req)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				continue
			}
			return fmt.Errorf("the configuration of %q: %w", r.ResourceName, err)
		}
		values := map[string]string{}
		for _, v := range r.Configs {
			if v.Value != nil {
				values[v.Name] = *v.Value
			}
		}
		out[r.ResourceName] = values
	}
	return nil
}

// internalFactors are the keys that say how many replicas the internal topics should have.
var internalFactors = map[string]string{
	"__consumer_offsets":  "offsets.topic.replication.factor",
	"__transaction_state": "transaction.state.log.replication.factor",
	"__share_group_state": "share.coordinator.state.topic.replication.factor",
}

// InternalFactors are the replication factors that internal topics should have, as the active controller is configured. A controller that is no
// broker does not say, and nothing is raised.
func (c *Client) InternalFactors(ctx context.Context) (map[string]int, error) {
	if c.at == model.NoBroker {
		return nil, nil
	}
	var names []string
	for _, topic := range sortedKeys(internalFactors) {
		names = append(names, internalFactors[topic])
	}
	self := strconv.Itoa(int(c.at))
	found := map[string]map[string]string{}
	if err := c.describe(ctx, kmsg.ConfigResourceTypeBroker, []string{self}, names, found); err != nil {
		return nil, err
	}
	out := map[string]int{}
	for topic, key := range internalFactors {
		if n, err := strconv.Atoi(found[self][key]); err == nil {
			out[topic] = n
		}
	}
	return out, nil
}

// The configurations that bound the bytes per second of replicas that catch up (KIP-73).
var (
	throttleRates    = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	throttleReplicas = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// Throttle bounds what the replicas of topics that are not in sync may take, in bytes per second of each node.
func (c *Client) Throttle(ctx context.Context, topics []string, bytesPerSecond int64) error {
	rate, all := strconv.FormatInt(bytesPerSecond, 10), "*"
	changes := []configChange{{kmsg.ConfigResourceTypeBroker, "", throttleRates, &rate}}
	for _, t := range topics {
		changes = append(changes, configChange{kmsg.ConfigResourceTypeTopic, t, throttleReplicas, &all})
	}
	return c.alter(ctx, changes)
}

// Unthrottle removes every throttle, also those that another run has left.
func (c *Client) Unthrottle(ctx context.Context, v *View) error {
	var topics []string
	for i := range v.Partitions {
		if t := v.Partitions[i].Topic; len(topics) == 0 || topics[len(topics)-1] != t {
			topics = append(topics, t)
		}
	}
	set, err := c.topicConfigs(ctx, topics, throttleReplicas...)
	if err != nil {
		return err
	}
	var changes []configChange
	for _, t := range topics {
		if slices.ContainsFunc(throttleReplicas, func(name string) bool { return set[t][name] != "" }) {
			changes = append(changes, configChange{kmsg.ConfigResourceTypeTopic, t, throttleReplicas, nil})
		}
	}
	rates := map[string]map[string]string{}
	if err := c.describe(ctx, kmsg.ConfigResourceTypeBroker, []string{""}, throttleRates, rates); err != nil {
		return err
	}
	if len(rates[""]) > 0 {
		changes = append(changes, configChange{kmsg.ConfigResourceTypeBroker, "", throttleRates, nil})
	}
	return c.alter(ctx, changes)
}

// configChange sets configurations of a resource to a value, or removes them.
type configChange struct {
	kind  kmsg.ConfigResourceType
	of    string
	names []string
	value *string // nil: removed
}

func (c *Client) alter(ctx context.Context, changes []configChange) error {
	const set, remove = 0, 1
	if len(changes) == 0 {
		return nil
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, change := range changes {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = change.kind, change.of
		for _, name := range change.names {
			e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			e.Name, e.Op, e.Value = name, set, change.value
			if change.value == nil {
				e.Op = remove
			}
			r.Configs = append(r.Configs, e)
		}
		req.Resources = append(req.Resources, r)
	}
	resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](ctx, c, req)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range resp.Resources {
		if err := refused(r.ErrorCode, r.ErrorMessage); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			errs = append(errs, fmt.Errorf("the configuration of %q: %w", r.ResourceName, err))
		}
	}
	return errors.Join(errs...)
}
