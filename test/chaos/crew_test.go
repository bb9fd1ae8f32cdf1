package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
	"chronik/test/chaos/rig"
	"chronik/test/exactlyonce/loop"
)

// What the crew works on, and its patience.
const (
	numbers, copies = "numbers", "copies"
	crewPace        = 30 * time.Millisecond // between two records of a partition
	memberSession   = 1500 * time.Millisecond
	transactionTime = 3 * time.Second
	crewMembers     = 2 // of each group
)

// coordinated are the keys of a cluster whose coordinators suffer: their logs on all nodes, one partition led by each of three, short sessions. A commit that
// is not safe in time is answered before the rig's clients give up: a client that hears nothing goes on asking the same node.
func coordinated() map[string]string {
	return map[string]string{
		"min.insync.replicas": "2", "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": fmt.Sprint(partitions),
		"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2", "transaction.state.log.num.partitions": fmt.Sprint(partitions),
		"offsets.commit.timeout.ms":    fmt.Sprint(rig.RequestTime.Milliseconds() / 2),
		"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "100",
		"group.consumer.min.session.timeout.ms": "1000", "group.consumer.session.timeout.ms": fmt.Sprint(memberSession.Milliseconds()),
		"group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": fmt.Sprint(memberSession.Milliseconds() / 6),
	}
}

// crew is clients that need coordinators: numbers are copied in transactions, by a group of each protocol in turn, and read by groups of both.
type crew struct {
	l      *load
	feed   *loop.Feed
	output loop.Output
	teams  []*team
}

// team is the members of one group.
type team struct {
	group, protocol string
	transactional   bool
	watch           *loop.Watch

	seats []*seat
	all   sync.WaitGroup // members, also those that are on their way out

	mu    sync.Mutex
	exits []string           // why members ended on their own
	seen  [partitions][]bool // what was delivered to readers
}

// seat is a member, and the next one when that has ended.
type seat struct {
	name  string
	names int
	halt  context.CancelFunc
}

// employ puts a crew to work beside the load, and returns when every group has committed something. The copiers' group is of the protocol.
func employ(ctx context.Context, t *testing.T, l *load, protocol string) *crew {
	t.Helper()
	k := &crew{l: l}
	if _, err := kadm.NewClient(l.admin).CreateTopics(ctx, partitions, 3, nil, numbers, copies); err != nil {
		t.Fatal(err)
	}
	k.output = loop.Output{Admin: kadm.NewClient(l.admin), Connect: k.connect, Topic: copies, Partitions: partitions}
	k.feed = loop.StartFeed(l.c.Client(loop.FeedOptions()...), numbers, partitions, crewPace, 2*patience)
	t.Cleanup(k.feed.Stop)
	k.teams = []*team{
		{group: "copiers", protocol: protocol, transactional: true},
		{group: "readers-classic", protocol: loop.Classic},
		{group: "readers-consumer", protocol: loop.Consumer},
	}
	for _, m := range k.teams {
		m.watch = loop.StartWatch(l.c.Client(), m.group, numbers, partitions)
		t.Cleanup(func() { m.watch.Stop() })
		t.Cleanup(m.stop)
		for i := range crewMembers {
			m.seats = append(m.seats, &seat{name: fmt.Sprintf("%s-%d", m.group, i)})
			k.fill(m, m.seats[i])
		}
	}
	k.caughtUp(ctx, t)
	return k
}

func (k *crew) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(k.l.c.ClientOptions(), kgo.SeedBrokers(k.l.c.Brokers()...)), opts...)...)
}

// fill gives a seat a member; another one whenever that ends by itself.
func (k *crew) fill(m *team, s *seat) {
	ctx, halt := context.WithCancel(context.Background())
	s.halt = halt
	name := s.name
	if s.names > 0 {
		name = fmt.Sprintf("%s.%d", s.name, s.names)
	}
	m.all.Go(func() {
		for ctx.Err() == nil {
			err := k.work(ctx, m, name)
			if ctx.Err() == nil {
				m.mu.Lock()
				m.exits = append(m.exits, fmt.Sprintf("%s %s: %v", time.Now().UTC().Format("15:04:05.000"), name, err))
				m.mu.Unlock()
				_ = wait.For(ctx, 100*time.Millisecond)
			}
		}
	})
}

// work is one member, until ctx ends or it cannot go on.
func (k *crew) work(ctx context.Context, m *team, name string) error {
	log, err := os.OpenFile(filepath.Join(k.l.c.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	opts := append(k.l.c.ClientOptions(), kgo.WithLogger(kgo.BasicLogger(log, kgo.LogLevelInfo, loop.Clock)))
	if m.transactional {
		return loop.Copy(ctx, loop.Job{
			Bootstrap: strings.Join(k.l.c.Brokers(), ","), Group: m.group, Input: numbers, Output: copies, ID: name,
			Session: memberSession, Transaction: transactionTime, Protocol: m.protocol,
		}, log, opts...)
	}
	return k.readAlong(ctx, m, log, append(opts, loop.Member(m.protocol, memberSession)...))
}

// abandon replaces a copier by another one in the middle of what it does. Its transaction is nobody's until its timeout. It takes its leave of a coordinator that
// may be in no state to answer; nobody waits for that.
func (k *crew) abandon(i int) {
	m := k.teams[0]
	s := m.seats[i%len(m.seats)]
	s.halt()
	s.names++
	k.fill(m, s)
}

// caughtUp returns when all groups have committed what was acknowledged when it was called.
func (k *crew) caughtUp(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for _, m := range k.teams {
		if err := m.watch.CaughtUp(ctx, k.feed); err != nil {
			t.Fatal(errors.Join(err, k.output.Closed(context.WithoutCancel(ctx))), "\n", strings.Join(m.reasons(), "\n"))
		}
	}
}

// finish has everything copied and read to the end, and judges. The cluster is whole.
func (k *crew) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	k.feed.Stop()
	k.caughtUp(ctx, t)
	for _, m := range k.teams {
		m.stop()
	}
	if err := k.output.AwaitClosed(ctx, transactionTime+5*time.Second); err != nil {
		t.Fatalf("a transaction outlives its timeout: %v", err)
	}
	want, err := k.feed.Ends()
	if err != nil {
		t.Fatalf("the input: %v", err)
	}
	verdict, err := k.output.Audit(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	wrong, reads := verdict.Wrong, 0
	for _, m := range k.teams {
		n, rewound := m.watch.Stop()
		wrong, reads = slices.Concat(wrong, rewound, m.missed(want)), reads+n
		if at := m.watch.Offsets(); !slices.Equal(at, want) {
			wrong = append(wrong, fmt.Sprintf("group %s has committed %v, want %v", m.group, at, want))
		}
		if exits := m.reasons(); len(exits) > 0 {
			t.Logf("%s: %d members ended on their own:\n%s", m.group, len(exits), strings.Join(exits, "\n"))
		}
	}
	for _, line := range wrong {
		t.Error(line)
	}
	t.Logf("records by partition: %v, and %d of aborted transactions; committed offsets of %d groups were read %d times", want, verdict.Aborted, len(k.teams), reads)
}

// stop ends all members in the middle of whatever they do.
func (m *team) stop() {
	for _, s := range m.seats {
		s.halt()
	}
	m.all.Wait()
}

func (m *team) reasons() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.exits)
}

// topics are all that the crew and its coordinators write.
func (k *crew) topics() []string {
	return []string{numbers, copies, "__consumer_offsets", "__transaction_state"}
}

// settle waits until all that the crew needs is led by its preferred leaders.
func (k *crew) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	k.l.settle(ctx, t)
	for _, topic := range k.topics() {
		if err := k.l.c.AwaitWhole(ctx, k.l.admin, topic); err != nil {
			t.Fatal(err)
		}
	}
}

// leads is the node that leads a partition.
func (k *crew) leads(ctx context.Context, t *testing.T, topic string, partition int32) *rig.Node {
	t.Helper()
	parts, err := rig.Partitions(ctx, k.l.admin, topic)
	if err != nil || parts[partition].Leader < 1 {
		t.Fatalf("%s-%d: %+v, %v", topic, partition, parts, err)
	}
	return k.l.c.Node(parts[partition].Leader)
}
