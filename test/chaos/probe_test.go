package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/schema"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
)

const probeEvery = 10 * time.Millisecond

// probe commits rising offsets for a group without members, and every node is asked all the time what is committed: whoever answers must know of the
// last commit that was acknowledged before it was asked, also one that does not know yet that it coordinates no more (G1, G3).
type probe struct {
	group string
	topic kadm.TopicID

	mu    sync.Mutex
	acked int64
	at    time.Time     // of the last acknowledgement
	grew  chan struct{} // closed and replaced with each
	stale []string
	reads int
}

// probes are one for each partition of the offsets' topic.
type probes struct {
	list []*probe // by partition
	halt context.CancelFunc
	all  sync.WaitGroup
}

// startProbes makes them and returns when all have committed something.
func startProbes(ctx context.Context, t *testing.T, c *rig.Cluster, topic string) *probes {
	t.Helper()
	admin := kadm.NewClient(c.Client())
	details, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	working, halt := context.WithCancel(context.Background())
	ps := &probes{halt: halt}
	t.Cleanup(ps.stop)
	for partition := range int32(partitions) {
		p := &probe{group: groupIn(partition), topic: details[topic].ID, grew: make(chan struct{})}
		ps.list = append(ps.list, p)
		writer := c.Client()
		if err := writer.Ping(ctx); err != nil { // lets it know the nodes
			t.Fatal(err)
		}
		ps.all.Go(func() { p.write(working, writer, topic, len(c.Nodes)) })
	}
	for _, n := range c.Nodes {
		witness := c.Client()
		if err := witness.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		ps.all.Go(func() {
			for i := 0; wait.For(working, probeEvery) == nil; i++ {
				ps.list[i%len(ps.list)].ask(working, witness.Broker(n.ID), n.ID)
			}
		})
	}
	for _, p := range ps.list {
		if _, err := p.await(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return ps
}

// groupIn is the name of a group that a partition's leader coordinates.
func groupIn(partition int32) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("probe-%d", i); schema.Partition(name, partitions) == partition {
			return name
		}
	}
}

// write commits one offset after another. What is not acknowledged may be committed all the same, so the next one is higher. franz-go keeps asking a coordinator
// that does not answer; this client asks another node who coordinates, as Kafka's does.
func (p *probe) write(ctx context.Context, cl *kgo.Client, topic string, nodes int) {
	at := 1
	for offset, turn := int64(1), 0; wait.For(ctx, probeEvery) == nil; offset++ {
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Offset = offset
		top := kmsg.NewOffsetCommitRequestTopic()
		top.Topic, top.TopicID, top.Partitions = topic, p.topic, append(top.Partitions, part)
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Topics = p.group, append(req.Topics, top)
		resp, err := req.RequestWith(ctx, cl.Broker(at))
		if err == nil && resp.Topics[0].Partitions[0].ErrorCode == 0 {
			p.note(offset)
			continue
		}
		if turn = turn%nodes + 1; turn == at { // it would say that it coordinates
			turn = turn%nodes + 1
		}
		at = p.find(ctx, cl.Broker(turn), at)
	}
}

// note notes that a commit was acknowledged.
func (p *probe) note(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked, p.at = offset, time.Now()
	close(p.grew)
	p.grew = make(chan struct{})
}

// find asks a node who coordinates; if it does not know, it is who it was.
func (p *probe) find(ctx context.Context, node *kgo.Broker, before int) int {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = p.group, []string{p.group}
	resp, err := req.RequestWith(ctx, node)
	if err != nil || len(resp.Coordinators) != 1 || resp.Coordinators[0].ErrorCode != 0 {
		return before
	}
	return int(resp.Coordinators[0].NodeID)
}

// ask asks one node, whether it coordinates or not. Only an answer with an offset says something.
func (p *probe) ask(ctx context.Context, node *kgo.Broker, id int) {
	ctx, cancel := context.WithTimeout(ctx, rig.RequestTime)
	defer cancel()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = p.group
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Groups = p.group, append(req.Groups, group)
	p.mu.Lock()
	least := p.acked
	p.mu.Unlock()
	resp, err := req.RequestWith(ctx, node)
	if err != nil || len(resp.Groups) != 1 || resp.Groups[0].ErrorCode != 0 {
		return
	}
	found := int64(0)
	for _, t := range resp.Groups[0].Topics {
		for _, part := range t.Partitions {
			found = part.Offset
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	if found < least {
		p.stale = append(p.stale, fmt.Sprintf("%s: node %d says that %s has committed %d, %d was acknowledged before it was asked", time.Now().UTC().Format("15:04:05.000"), id, p.group, found, least))
	}
}

// await returns when a commit was first acknowledged after a moment, as far as one looks from now on.
func (p *probe) await(ctx context.Context, moment time.Time) (time.Time, error) {
	for {
		p.mu.Lock()
		at, grew := p.at, p.grew
		p.mu.Unlock()
		if at.After(moment) {
			return at, nil
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("commits of %s are not served: %w", p.group, context.Cause(ctx))
		}
	}
}

// stop ends them, and returns how many answers there were and what was wrong with them.
func (ps *probes) stop() {
	ps.halt()
	ps.all.Wait()
}

func (ps *probes) verdict() (commits int64, reads int, stale []string) {
	for _, p := range ps.list {
		commits, reads, stale = commits+p.acked, reads+p.reads, slices.Concat(stale, p.stale)
	}
	return commits, reads, stale
}
