package durability

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
)

// audit reads the whole topic and holds it against the ledger.
func audit(t *testing.T, addr string, l *ledger.Ledger, rule ledger.Rule) {
	t.Helper()
	found := readAll(t, addr, l.Topic())
	for _, err := range l.Audit(found, rule) {
		t.Error(err)
	}
	t.Logf("%s: %d acknowledged, %d stored, refused: %v", l.Topic(), l.Acked(), len(found.Records), l.Refused())
}

func readAll(t *testing.T, addr, topic string) *ledger.Contents {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	found, err := ledger.Read(ctx, func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	}, topic)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.RecordRetries(1 << 30), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatalf("creating %s: %v", topic, err)
	}
}
