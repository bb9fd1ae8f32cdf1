package rig

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition is what the cluster says of one.
type Partition struct {
	Leader   int // -1 without one
	Epoch    int
	Replicas []int
	ISR      []int
}

// Partitions asks some node, that of a client's next request, or a certain one, for the partitions of a topic, by their numbers.
func Partitions(ctx context.Context, at kmsg.Requestor, topic string) ([]Partition, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return nil, err
	}
	out := make([]Partition, len(resp.Topics[0].Partitions))
	for _, p := range resp.Topics[0].Partitions {
		out[p.Partition] = Partition{Leader: int(p.Leader), Epoch: int(p.LeaderEpoch), Replicas: numbers(p.Replicas), ISR: numbers(p.ISR)}
	}
	return out, nil
}

// AwaitWhole returns when every node says of every partition of a topic that all replicas are in sync and the first leads, and all say the same: a node that was cut
// off a moment ago still tells what was. Leadership is moved back as often as needed.
func (c *Cluster) AwaitWhole(ctx context.Context, cl *kgo.Client, topic string) error {
	return await(ctx, "the cluster does not become whole", 50*time.Millisecond, func(ctx context.Context) error {
		if err := c.whole(ctx, cl, topic); err != nil {
			_, elect := kadm.NewClient(cl).ElectLeaders(ctx, kadm.ElectPreferredReplica, nil) // each partition's answer shows in the next look
			return errors.Join(err, elect)
		}
		return nil
	})
}

func (c *Cluster) whole(ctx context.Context, cl *kgo.Client, topic string) error {
	var first []Partition
	for _, n := range c.Nodes {
		parts, err := Partitions(ctx, cl.Broker(n.ID), topic)
		if err != nil {
			return fmt.Errorf("node %d: %w", n.ID, err)
		}
		for i, p := range parts {
			if p.Leader != p.Replicas[0] || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("node %d says that partition %d is %+v", n.ID, i, p)
			}
		}
		if first == nil {
			first = parts
		}
		if !reflect.DeepEqual(first, parts) {
			return fmt.Errorf("node %d says %+v, node %d says %+v", c.Nodes[0].ID, first, n.ID, parts)
		}
	}
	return nil
}

func numbers(ids []int32) []int {
	out := make([]int, 0, len(ids))
	for _, id := range ids {
		out = append(out, int(id))
	}
	return out
}

// Quorum is who leads the metadata, in which term, and how many voters there are.
type Quorum struct{ Leader, Term, Voters int }

// AskQuorum asks the cluster for the state of its metadata quorum.
func AskQuorum(ctx context.Context, cl *kgo.Client) (Quorum, error) {
	part := kmsg.NewDescribeQuorumRequestTopicPartition()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, part)
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return Quorum{}, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return Quorum{}, err
	}
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return Quorum{}, err
	}
	if p.LeaderID < 1 {
		return Quorum{}, errors.New("nobody leads the metadata")
	}
	return Quorum{Leader: int(p.LeaderID), Term: int(p.LeaderEpoch), Voters: len(p.CurrentVoters)}, nil
}

// AwaitVoters returns when the metadata has a leader and that many voters.
func AwaitVoters(ctx context.Context, cl *kgo.Client, voters int) error {
	return await(ctx, "the metadata quorum is not whole", 50*time.Millisecond, func(ctx context.Context) error {
		q, err := AskQuorum(ctx, cl)
		if err == nil && q.Voters < voters {
			err = fmt.Errorf("only %d of %d vote", q.Voters, voters)
		}
		return err
	})
}
