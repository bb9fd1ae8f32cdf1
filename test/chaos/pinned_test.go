package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/record"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
)

// pinned writes to one node, acks=-1, whoever leads: a client that has not heard the news.
type pinned struct {
	cl   *kgo.Client
	halt context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	acked []time.Time
	grew  chan struct{} // closed and replaced when one is acknowledged
}

// pin begins to write to a partition at a node.
func pin(ctx context.Context, c *rig.Cluster, topic string, partition int32, node int) (*pinned, error) {
	p := &pinned{cl: c.Client(), done: make(chan struct{}), grew: make(chan struct{})}
	details, err := kadm.NewClient(p.cl).ListTopics(ctx, topic) // also lets the client know the node
	if err != nil {
		return nil, err
	}
	w := record.NewBuilder(record.Options{})
	w.Add(time.Now().UnixMilli(), nil, []byte("do you still lead?"))
	batch, err := w.Build()
	if err != nil {
		return nil, err
	}
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, batch
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic, details[topic].ID, append(top.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, int32(rig.RequestTime.Milliseconds()), append(req.Topics, top)
	writing, halt := context.WithCancel(context.WithoutCancel(ctx))
	p.halt = halt
	c.T.Cleanup(halt)
	go func() {
		defer close(p.done)
		p.write(writing, p.cl.Broker(node), req)
	}()
	return p, nil
}

func (p *pinned) write(ctx context.Context, node *kgo.Broker, req *kmsg.ProduceRequest) {
	for ctx.Err() == nil {
		resp, err := node.Request(ctx, req)
		if err == nil && resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode == 0 {
			p.mu.Lock()
			p.acked = append(p.acked, time.Now())
			close(p.grew)
			p.grew = make(chan struct{})
			p.mu.Unlock()
		}
		_ = wait.For(ctx, 2*time.Millisecond)
	}
}

// await returns when a write was acknowledged after a moment.
func (p *pinned) await(ctx context.Context, moment time.Time) error {
	for {
		p.mu.Lock()
		n, grew := len(p.acked), p.grew
		ok := n > 0 && p.acked[n-1].After(moment)
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return fmt.Errorf("it acknowledges nothing: %w", context.Cause(ctx))
		}
	}
}

// stop ends it and returns when the last write was acknowledged.
func (p *pinned) stop() time.Time {
	p.halt()
	<-p.done
	return p.acked[len(p.acked)-1]
}

// first is when the first write was acknowledged.
func (p *pinned) first() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked[0]
}

// without finds a partition that a node has no replica of, and its leader.
func (l *load) without(ctx context.Context, t *testing.T, topic string, node int) (partition int32, leader int) {
	t.Helper()
	parts, err := rig.Partitions(ctx, l.admin, topic)
	if err != nil {
		t.Fatal(err)
	}
next:
	for i, p := range parts {
		for _, r := range p.Replicas {
			if r == node {
				continue next
			}
		}
		return int32(i), p.Leader
	}
	t.Fatalf("node %d has replicas of all partitions: %+v", node, parts)
	return 0, 0
}

// moved waits until another node than before leads a partition.
func (l *load) moved(ctx context.Context, t *testing.T, topic string, partition int32, before int) int {
	t.Helper()
	for {
		parts, err := rig.Partitions(ctx, l.admin, topic)
		if err == nil && parts[partition].Leader > 0 && parts[partition].Leader != before {
			return parts[partition].Leader
		}
		if wait.For(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("node %d is not replaced: %+v, %v", before, parts, err)
		}
	}
}
