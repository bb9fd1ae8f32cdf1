package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
)

const (
	quorumTopic = "__cluster_metadata"
	// pageLimit is how many partitions are asked for at a time.
	pageLimit = 2000
	// topicsAtOnce is of how many topics the configuration is asked for at a time.
	topicsAtOnce = 500
)

// View looks at the cluster. What it shows is never older than what was committed before, as long as the active controller answers.
func (c *Client) View(ctx context.Context) (*View, error) {
	v := &View{Controller: model.NoBroker, MinISR: map[string]int{}}
	for _, look := range []func(context.Context, *View) error{c.lookQuorum, c.lookNodes, c.lookPartitions, c.lookReassignments, c.lookMinISR} {
		if err := look(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// lookQuorum is first: it finds the active controller, which is then asked for the rest.
func (c *Client) lookQuorum(ctx context.Context, v *View) error {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	t.Topic, t.Partitions = quorumTopic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := ask[*kmsg.DescribeQuorumResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err := refused(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return fmt.Errorf("the metadata quorum does not answer: %w", err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the metadata quorum was not described: is this a cluster of Chronik, or of Kafka without ZooKeeper?")
	}
	q := &resp.Topics[0].Partitions[0]
	if err := refused(q.ErrorCode, q.ErrorMessage); err != nil {
		return fmt.Errorf("the metadata quorum does not answer: %w", err)
	}
	c.at = model.BrokerID(q.LeaderID)
	v.Controller = c.at
	v.Quorum = Quorum{Epoch: q.LeaderEpoch, HighWatermark: q.HighWatermark, Voters: followers(q.CurrentVoters), Observers: followers(q.Observers)}
	return nil
}

func followers(list []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) []Follower {
	out := make([]Follower, 0, len(list))
	for _, r := range list {
		f := Follower{Node: model.BrokerID(r.ReplicaID), Directory: r.ReplicaDirectoryID, LogEnd: r.LogEndOffset}
		if r.LastFetchTimestamp >= 0 {
			f.Heard = time.UnixMilli(r.LastFetchTimestamp)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Follower) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func (c *Client) lookNodes(ctx context.Context, v *View) error {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType, req.IncludeFencedBrokers = 1, true
	resp, err := ask[*kmsg.DescribeClusterResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err := refused(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	v.ClusterID, c.id = resp.ClusterID, resp.ClusterID
	for _, b := range resp.Brokers {
		n := Node{ID: model.BrokerID(b.NodeID), Host: b.Host, Port: b.Port, Fenced: b.IsFenced}
		if b.Rack != nil {
			n.Rack = *b.Rack
		}
		v.Nodes = append(v.Nodes, n)
	}
	slices.SortFunc(v.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// lookPartitions turns the pages.
func (c *Client) lookPartitions(ctx context.Context, v *View) error {
	var from *kmsg.DescribeTopicPartitionsRequestCursor
	for {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = pageLimit, from
		resp, err := ask[*kmsg.DescribeTopicPartitionsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if t.Topic == nil {
				continue
			}
			for _, p := range t.Partitions {
				v.Partitions = append(v.Partitions, Partition{
					TopicPartition: model.TopicPartition{Topic: *t.Topic, Partition: p.Partition}, Leader: model.BrokerID(p.LeaderID),
					Replicas: model.BrokerIDs(p.Replicas), ISR: model.BrokerIDs(p.ISR), ELR: model.BrokerIDs(p.EligibleLeaderReplicas),
				})
			}
		}
		if resp.NextCursor == nil {
			break
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		if from != nil && from.Topic == next.Topic && from.Partition == next.Partition {
			return fmt.Errorf("the partitions after %s-%d are not described", next.Topic, next.Partition)
		}
		from = &next
	}
	v.Partitions = slices.DeleteFunc(v.Partitions, func(p Partition) bool { return len(p.Replicas) == 0 })
	slices.SortFunc(v.Partitions, func(a, b Partition) int { return a.Compare(b.TopicPartition) })
	return nil
}

// lookReassignments comes after the partitions: one that has ended in between is taken for one that is under way, which does no harm.
func (c *Client) lookReassignments(ctx context.Context, v *View) error {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = int32(requestTime.Milliseconds())
	resp, err := ask[*kmsg.ListPartitionReassignmentsResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err := refused(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, r := range t.Partitions {
			tp := model.TopicPartition{Topic: t.Topic, Partition: r.Partition}
			i, ok := slices.BinarySearchFunc(v.Partitions, tp, func(p Partition, tp model.TopicPartition) int { return p.Compare(tp) })
			if ok {
				v.Partitions[i].Replicas, v.Partitions[i].Adding, v.Partitions[i].Removing = model.BrokerIDs(r.Replicas), model.BrokerIDs(r.AddingReplicas), model.BrokerIDs(r.RemovingReplicas)
			}
		}
	}
	return nil
}

// lookMinISR asks for min.insync.replicas where it matters.
func (c *Client) lookMinISR(ctx context.Context, v *View) error {
	var topics []string
	for i := range v.Partitions {
		if p := &v.Partitions[i]; len(p.lacks()) > 0 && (len(topics) == 0 || topics[len(topics)-1] != p.Topic) {
			topics = append(topics, p.Topic)
		}
	}
	values, err := c.topicConfigs(ctx, topics, "min.insync.replicas")
	for topic, configs := range values {
		var n int
		if _, err := fmt.Sscan(configs["min.insync.replicas"], &n); err == nil {
			v.MinISR[topic] = n
		}
	}
	return err
}
