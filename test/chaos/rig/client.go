package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// A link that was cut tells nobody. At the clients' defaults (10 to 40 s) the clients would be measured, not the cluster; so these
// give a connection up when the other side's kernel has not acknowledged what was sent for deadPeer, and a request that was
// received but not answered after RequestTime: half of it is what the broker is given, half what the way may take.
const (
	deadPeer    = 300 * time.Millisecond
	RequestTime = 600 * time.Millisecond

	dialTime  = 100 * time.Millisecond
	dialAgain = 200 * time.Millisecond // after one that got no answer
)

// dialer dials an address that did not answer only now and then, and refuses at once in between. franz-go dials anew, twice, for each of the
// requests that it has for a broker, one after the other, before it asks who leads now.
type dialer struct {
	mu     sync.Mutex
	silent map[string]time.Time // address -> since when
}

var errSilent = errors.New("no answer a moment ago")

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	silent := time.Since(d.silent[addr]) < dialAgain
	d.mu.Unlock()
	if silent {
		// An error of the network: franz-go tries again.
		return nil, &net.OpError{Op: "dial", Net: network, Err: errSilent}
	}
	raw := net.Dialer{Timeout: dialTime, Control: giveUpSilent}
	conn, err := raw.DialContext(ctx, network, addr)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && ctx.Err() == nil {
		d.mu.Lock()
		d.silent[addr] = time.Now()
		d.mu.Unlock()
	}
	return conn, err
}

func giveUpSilent(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
	})
	return errors.Join(err, set)
}

// Brokers are the addresses of all nodes.
func (c *Cluster) Brokers() []string {
	var out []string
	for _, n := range c.Nodes {
		out = append(out, fmt.Sprintf("%s:%d", c.Net.IP(n.ID), kafkaPort))
	}
	return out
}

// ClientOptions are those of a client that wants to go on quickly when a node is gone.
func (c *Cluster) ClientOptions() []kgo.Opt {
	d := &dialer{silent: make(map[string]time.Time)}
	return []kgo.Opt{
		kgo.Dialer(d.dial), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.ProduceRequestTimeout(RequestTime / 2), kgo.RequestTimeoutOverhead(RequestTime / 2),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.RetryTimeout(time.Minute),
	}
}

// Client makes a client that ends with the test.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.T.Helper()
	cl, err := kgo.NewClient(append(append(c.ClientOptions(), kgo.SeedBrokers(c.Brokers()...)), opts...)...)
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(cl.Close)
	return cl
}

// Partition is what the cluster says of one.
type Partition struct {
	Leader   int // -1 without one
	Epoch    int
	Replicas []int
	ISR      []int
}

// Partitions asks the cluster for the partitions of a topic, by their numbers.
func Partitions(ctx context.Context, cl *kgo.Client, topic string) ([]Partition, error) {
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := topics.Error(); err != nil {
		return nil, err
	}
	var out []Partition
	for _, p := range topics[topic].Partitions.Sorted() {
		out = append(out, Partition{Leader: int(p.Leader), Epoch: int(p.LeaderEpoch), Replicas: numbers(p.Replicas), ISR: numbers(p.ISR)})
	}
	return out, nil
}

func numbers(ids []int32) []int {
	out := make([]int, 0, len(ids))
	for _, id := range ids {
		out = append(out, int(id))
	}
	return out
}

// AwaitISR returns when all partitions of a topic have a leader and that many members in their ISR.
func AwaitISR(ctx context.Context, cl *kgo.Client, topic string, members int) error {
	return await(ctx, "the replicas do not catch up", 50*time.Millisecond, func(ctx context.Context) error {
		parts, err := Partitions(ctx, cl, topic)
		if err != nil {
			return err
		}
		for i, p := range parts {
			if p.Leader < 0 || len(p.ISR) < members {
				return fmt.Errorf("partition %d of %s is %+v", i, topic, p)
			}
		}
		return nil
	})
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

// AwaitPreferred returns when each partition of a topic is led by its first replica. It asks for that as often as needed: replicas that have just come back may
// fall out of sync once more.
func AwaitPreferred(ctx context.Context, cl *kgo.Client, topic string) error {
	return await(ctx, "leadership does not move back", 50*time.Millisecond, func(ctx context.Context) error {
		results, err := kadm.NewClient(cl).ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
		if err != nil {
			return err
		}
		for _, r := range results[topic] {
			if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				return fmt.Errorf("electing the preferred leader of %s/%d: %w", topic, r.Partition, r.Err)
			}
		}
		return nil
	})
}
