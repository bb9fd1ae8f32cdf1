package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/verify/history"
	"chronik/internal/wait"
)

const (
	answerTimeout = 15 * time.Second
	again         = 100 * time.Millisecond // between two tries
)

// cluster is the administrative side of a run, on connections of its own.
type cluster struct {
	opts  *Options
	cl    *kgo.Client
	topic string
	ours  bool // created by this run
	parts int
	id    [16]byte // of the topic; zero: brokers too old to have them

	mu    sync.Mutex
	heads []head // by partition
}

// head is who leads a partition, by the newest epoch that was heard of.
type head struct{ leader, epoch int32 } // leader -1: none

func (c *cluster) head(partition int32) head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads[partition]
}

func connect(o *Options) (*cluster, error) {
	cl, err := kgo.NewClient(o.clientOptions(kgo.RetryTimeout(answerTimeout))...)
	if err != nil {
		return nil, fmt.Errorf("options that the client refuses: %w", err)
	}
	return &cluster{opts: o, cl: cl}, nil
}

// open makes sure that the topic exists and that all of its partitions have leaders.
func (c *cluster) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c.topic = c.opts.Topic
	if c.topic == "" {
		c.topic = "chronik-verify-" + strings.ToLower(rand.Text()[:10])
	}
	_, err := kadm.NewClient(c.cl).CreateTopic(ctx, int32(c.opts.Partitions), int16(c.opts.Replication), nil, c.topic)
	c.ours = err == nil
	if err != nil && !(errors.Is(err, kerr.TopicAlreadyExists) && c.opts.Topic != "") {
		return fmt.Errorf("creating topic %s at %s: %w\n  is a broker there, and are there enough for the replication factor?", c.topic, strings.Join(c.opts.Brokers, ","), err)
	}
	for {
		err := c.look(ctx)
		if err == nil {
			return nil
		}
		if wait.For(ctx, again) != nil {
			return fmt.Errorf("waiting for the leaders of topic %s: %w", c.topic, err)
		}
	}
}

// remove deletes the topic.
func (c *cluster) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := kadm.NewClient(c.cl).DeleteTopic(ctx, c.topic)
	return err
}

// look learns the leaders. What is older than what was heard before does not count: a node that is cut off still tells it.
func (c *cluster) look(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(c.topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 {
		return fmt.Errorf("a broker's metadata does not speak of topic %s", c.topic)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := resp.Topics[0].Partitions
	if c.parts == 0 && len(parts) > 0 {
		c.parts, c.id = len(parts), resp.Topics[0].TopicID
		c.heads = slices.Repeat([]head{{-1, -1}}, c.parts)
	}
	for _, p := range parts {
		if int(p.Partition) < c.parts && p.LeaderEpoch >= c.heads[p.Partition].epoch {
			c.heads[p.Partition] = head{p.Leader, p.LeaderEpoch}
		}
	}
	for p, h := range c.heads {
		if h.leader < 0 {
			return fmt.Errorf("partition %d has no leader", p)
		}
	}
	return nil
}

// The offsets that Kafka asks for by name.
const (
	earliest = -2
	latest   = -1
)

// list asks the leader of a partition for an offset. The leader's epoch goes with it, so that a leader of before does not answer.
func (c *cluster) list(ctx context.Context, partition int32, which int64) (int64, error) {
	h := c.head(partition)
	if h.leader < 0 {
		return 0, kerr.LeaderNotAvailable
	}
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, h.epoch, which
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = c.topic, []kmsg.ListOffsetsRequestTopicPartition{p}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = -1, []kmsg.ListOffsetsRequestTopic{t}
	answer, err := c.cl.Broker(int(h.leader)).Request(ctx, req)
	if err != nil {
		return 0, err
	}
	resp := answer.(*kmsg.ListOffsetsResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("a broker answers ListOffsets for another partition than %d", partition)
	}
	got := resp.Topics[0].Partitions[0]
	return got.Offset, kerr.ErrorForCode(got.ErrorCode)
}

// ends lists where a partition starts and ends, and tries until ctx ends.
func (c *cluster) ends(ctx context.Context, partition int32) (start, end int64, err error) {
	for {
		if start, err = c.list(ctx, partition, earliest); err == nil {
			end, err = c.list(ctx, partition, latest)
		}
		if err == nil {
			return start, end, nil
		}
		if wait.For(ctx, again) != nil {
			return 0, 0, fmt.Errorf("listing the offsets of %s-%d: %w", c.topic, partition, err)
		}
		_ = c.look(ctx) // the next try tells if it was of no use
	}
}

// observe records leaders and log ends until ctx ends.
func (c *cluster) observe(ctx context.Context, r *Run) {
	client := int32(len(r.opts.Consumers))
	for wait.For(ctx, r.opts.Observe) == nil {
		some, cancel := context.WithTimeout(ctx, r.opts.RequestTimeout)
		err := c.look(some)
		for p := range c.parts {
			partition := int32(p)
			h := c.head(partition)
			r.record(&history.Event{Kind: history.Led, Partition: partition, Client: h.leader, Offset: int64(h.epoch)})
			if end, err := c.list(some, partition, latest); err == nil {
				r.record(&history.Event{Kind: history.Listed, Partition: partition, Client: client, End: end})
			}
		}
		cancel()
		if err != nil {
			r.trouble("observer", err)
		}
	}
}
