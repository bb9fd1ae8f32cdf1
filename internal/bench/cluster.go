package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// Cluster is the administrative side of a run: topics, offsets, and reading records back. It has a
// connection of its own, so that it does not disturb those being measured.
type Cluster struct {
	opts Options
	cl   *kgo.Client
	adm  *kadm.Client
}

// Topic is what a run needs to know of its topic.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions int
	Created    bool // by this run
}

// Connect reaches a broker and makes sure that it answers.
func Connect(ctx context.Context, o Options) (*Cluster, error) {
	if err := reach(ctx, o.Brokers); err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(o.baseOptions(), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("options that the client refuses: %w", err)
	}
	c := &Cluster{opts: o, cl: cl, adm: kadm.NewClient(cl)}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := c.adm.BrokerMetadata(ctx); err != nil {
		cl.Close()
		return nil, explain("ask "+strings.Join(o.Brokers, ",")+" for its metadata", err)
	}
	return c, nil
}

// Close ends the connections.
func (c *Cluster) Close() { c.cl.Close() }

// Open returns the run's topic: the named one, created if it does not exist, or a new one under a
// unique name. It returns once every partition has a leader.
func (c *Cluster) Open(ctx context.Context) (Topic, error) {
	name := c.opts.Topic
	if name == "" {
		name = "chronik-bench-" + strings.ToLower(rand.Text()[:10])
	}
	created := true
	_, err := c.adm.CreateTopic(ctx, int32(c.opts.Partitions), int16(c.opts.Replication), nil, name)
	if errors.Is(err, kerr.TopicAlreadyExists) && c.opts.Topic != "" {
		created, err = false, nil
	}
	if err != nil {
		return Topic{}, explain(fmt.Sprintf("create topic %s with %d partitions", name, c.opts.Partitions), err)
	}
	t, err := c.await(ctx, name)
	t.Created = created
	return t, err
}

// await asks for a topic's metadata until all partitions have leaders: brokers answer CreateTopics
// before every one of them has learnt of the topic.
func (c *Cluster) await(ctx context.Context, name string) (Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var last error
	for {
		m, err := c.adm.Metadata(ctx, name)
		if err != nil {
			return Topic{}, explain("wait for leaders of topic "+name, errors.Join(err, last))
		}
		d := m.Topics[name]
		last = d.Err
		for _, p := range d.Partitions {
			if last == nil && p.Leader < 0 {
				last = fmt.Errorf("partition %d has no leader (%w)", p.Partition, kerr.LeaderNotAvailable)
			}
			last = cmp.Or(last, p.Err)
		}
		if last == nil && len(d.Partitions) > 0 {
			return Topic{Name: name, ID: d.ID, Partitions: len(d.Partitions)}, nil
		}
		if err := wait.For(ctx, 20*time.Millisecond); err != nil {
			return Topic{}, explain("wait for leaders of topic "+name, errors.Join(err, last))
		}
	}
}

// Delete deletes a topic.
func (c *Cluster) Delete(ctx context.Context, t Topic) error {
	_, err := c.adm.DeleteTopic(ctx, t.Name)
	return explain("delete topic "+t.Name, err)
}

// StartOffsets returns the first offset of every partition.
func (c *Cluster) StartOffsets(ctx context.Context, t Topic) ([]int64, error) {
	return offsets(t, c.adm.ListStartOffsets)(ctx)
}

// EndOffsets returns the offset after the last record of every partition.
func (c *Cluster) EndOffsets(ctx context.Context, t Topic) ([]int64, error) {
	return offsets(t, c.adm.ListEndOffsets)(ctx)
}

func offsets(t Topic, list func(context.Context, ...string) (kadm.ListedOffsets, error)) func(context.Context) ([]int64, error) {
	return func(ctx context.Context) ([]int64, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		listed, err := list(ctx, t.Name)
		for kerr.IsRetriable(cmp.Or(err, listed.Error())) && wait.For(ctx, 20*time.Millisecond) == nil {
			listed, err = list(ctx, t.Name) // a new leader may not have heard of it yet
		}
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, explain("list offsets of topic "+t.Name, err)
		}
		out := make([]int64, t.Partitions)
		for p := range out {
			o, ok := listed.Lookup(t.Name, int32(p))
			if !ok {
				return nil, fmt.Errorf("list offsets of topic %s: no answer for partition %d", t.Name, p)
			}
			out[p] = o.Offset
		}
		return out, nil
	}
}

// Settled returns the end offsets once their sum has reached want, or once it has stopped moving for
// quiet. It does not judge: a sum that never gets there is for the verification to report.
func (c *Cluster) Settled(ctx context.Context, t Topic, want int64, quiet time.Duration) ([]int64, error) {
	var last int64 = -1
	since := time.Now()
	for {
		ends, err := c.EndOffsets(ctx, t)
		if err != nil {
			return nil, err
		}
		sum := total(ends)
		if sum != last {
			last, since = sum, time.Now()
		}
		if sum >= want || time.Since(since) > quiet {
			return ends, nil
		}
		if err := wait.For(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// barrierValue marks the record that Barrier writes.
var barrierValue = []byte("chronik-bench barrier: everything sent before this record should be stored")

// Barrier writes one record with acks=-1 to each partition. With acks=0 it tells when the broker has
// come past what was sent on other connections, or nearly so: Settled does the rest.
func (c *Cluster) Barrier(ctx context.Context, t Topic) error {
	o := c.opts
	o.Acks, o.Idempotence, o.Keys, o.Partitioner = -1, false, 0, RoundRobin
	cl, err := kgo.NewClient(o.producerOptions(t.Name, t.Partitions)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	records := make([]*kgo.Record, t.Partitions)
	for p := range records {
		records[p] = &kgo.Record{Partition: int32(p), Value: barrierValue}
	}
	return explain("write the barrier records", cl.ProduceSync(ctx, records...).FirstErr())
}

func total(offsets []int64) (sum int64) {
	for _, o := range offsets {
		sum += o
	}
	return sum
}
