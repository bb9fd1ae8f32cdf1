package chaos

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/chaos/rig"
	"chronik/test/ledger"
)

var rounds = flag.Int("chaos.rounds", 0, "how often the faults are repeated; 0 leaves all of this out")

// begin skips the test if it was not asked for.
func begin(t *testing.T) {
	t.Helper()
	if *rounds == 0 {
		t.Skip("real processes under faults take minutes, and root: make chaos")
	}
}

const (
	exactTopic = "exact" // idempotent producers, acks=-1: exactly once and in order
	plainTopic = "plain" // acks=-1 without idempotence: at least once
	partitions = 3       // one led by each node
	window     = 20      // unanswered records of each producer: load that leaves the machine time for the servers
	patience   = 30 * time.Second
)

// twoOfThree are the keys of a cluster that acknowledges what is on two disks.
var twoOfThree = map[string]string{"min.insync.replicas": "2", "default.replication.factor": "3"}

// load is clients at work on a cluster: producers, a consumer, and the probes by which times are measured.
type load struct {
	c            *rig.Cluster
	admin        *kgo.Client
	exact, plain *ledger.Ledger
	probes       []*probe

	writers []*kgo.Client
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// start makes the topics and puts the clients to work.
func start(t *testing.T, c *rig.Cluster) *load {
	t.Helper()
	l := &load{c: c, admin: c.Client(), exact: ledger.New(exactTopic, nil), plain: ledger.New(plainTopic, nil)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := rig.AwaitVoters(ctx, l.admin, min(3, len(c.Nodes))); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{exactTopic, plainTopic, probeTopic} {
		if _, err := kadm.NewClient(l.admin).CreateTopic(ctx, partitions, 3, nil, topic); err != nil {
			t.Fatalf("creating %s: %v", topic, err)
		}
		if err := rig.AwaitISR(ctx, l.admin, topic, 3); err != nil {
			t.Fatal(err)
		}
	}
	working, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	l.stop = stop
	t.Cleanup(stop)
	sticky := kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))
	l.writers = []*kgo.Client{c.Client(sticky), c.Client(sticky, kgo.DisableIdempotentWrite())}
	for i, lg := range []*ledger.Ledger{l.exact, l.plain} {
		l.done.Go(func() { lg.Produce(working, l.writers[i], window) })
		l.done.Go(func() { consume(working, c, lg) })
	}
	for p := range int32(partitions) {
		pr := newProbe(c, p)
		l.probes = append(l.probes, pr)
		l.done.Go(func() { pr.run(working) })
	}
	return l
}

// consume shows the ledger what a consumer is given while the faults happen.
func consume(ctx context.Context, c *rig.Cluster, lg *ledger.Ledger) {
	cl, err := kgo.NewClient(c.Options(kgo.ConsumeTopics(lg.Topic()), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		c.T.Errorf("a consumer of %s: %v", lg.Topic(), err)
		return
	}
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { lg.Show(ledger.Place{Partition: r.Partition, Offset: r.Offset}, r.Value) })
	}
}

// finish stops the clients, waits for what is under way and holds everything against what was acknowledged.
func (l *load) finish(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	l.stop()
	l.done.Wait()
	for _, w := range l.writers {
		if err := w.Flush(ctx); err != nil {
			t.Errorf("the producers do not come to an end: %v", err)
		}
	}
	for lg, rule := range map[*ledger.Ledger]ledger.Rule{l.exact: {ExactlyOnce: true}, l.plain: {}} {
		contents, err := ledger.Read(ctx, func(opts ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(l.c.Options(opts...)...)
		}, lg.Topic())
		if err != nil {
			t.Errorf("reading everything: %v", err)
			continue
		}
		broken := lg.Audit(contents, rule)
		for i, err := range broken {
			if i == 20 {
				t.Errorf("and %d more", len(broken)-i)
				break
			}
			t.Error(err)
		}
		refused := 0
		for _, r := range lg.Refused() {
			refused += r.Times
			t.Logf("%s: %d records were given up: %v", lg.Topic(), r.Times, r.Err)
		}
		t.Logf("%s: %d records acknowledged, %d given up, %d promises broken", lg.Topic(), lg.Acked(), refused, len(broken))
	}
}
