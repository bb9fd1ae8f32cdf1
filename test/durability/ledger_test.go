package durability

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where the broker said that it put a record.
type place struct {
	partition int32
	offset    int64
}

// ledger remembers what was acknowledged. Every record carries its own number, so that what is read back
// can be held against it.
type ledger struct {
	mu     sync.Mutex
	acked  map[place]uint64 // record number
	failed map[string]int   // refusals by their text
	grew   chan struct{}    // closed and replaced when acked grows
}

func newLedger() *ledger {
	return &ledger{acked: make(map[place]uint64), failed: make(map[string]int), grew: make(chan struct{})}
}

func (l *ledger) add(p place, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[p] = number
	close(l.grew)
	l.grew = make(chan struct{})
}

// await returns when n more records than now are acknowledged.
func (l *ledger) await(ctx context.Context, n int) error {
	l.mu.Lock()
	want, grew := len(l.acked)+n, l.grew
	have := len(l.acked)
	l.mu.Unlock()
	for have < want {
		select {
		case <-grew:
		case <-ctx.Done():
			return fmt.Errorf("only %d of %d acknowledgements came: %w", have, want, ctx.Err())
		}
		l.mu.Lock()
		have, grew = len(l.acked), l.grew
		l.mu.Unlock()
	}
	return nil
}

// payload is the record of a number: the number, and bytes that follow from it.
func payload(number uint64) []byte {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, number)
	_, _ = h.Write(b)
	r := rand.New(rand.NewPCG(number, h.Sum64()))
	for range 8 + r.IntN(40) {
		b = binary.BigEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

// produce sends numbered records, at most window unanswered, until ctx ends, and enters the acknowledged ones.
func (l *ledger) produce(ctx context.Context, cl *kgo.Client, topic string, window int) {
	slots := make(chan struct{}, window)
	for number := uint64(0); ; number++ {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: topic, Value: payload(number)}, func(r *kgo.Record, err error) {
			if err == nil {
				l.add(place{r.Partition, r.Offset}, number)
			} else {
				l.mu.Lock()
				l.failed[err.Error()]++
				l.mu.Unlock()
			}
			<-slots
		})
	}
}

// audit reads the whole topic and holds it against the ledger: every acknowledged record stands at its
// offset with its bytes. exactlyOnce also demands that no number stands twice and that the numbers of a
// partition grow, as an idempotent producer promises.
func (l *ledger) audit(t *testing.T, addr, topic string, exactlyOnce bool) {
	t.Helper()
	found := readAll(t, addr, topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, number := range l.acked {
		value, ok := found[p]
		if !ok {
			t.Errorf("lost: record %d was acknowledged at %+v and is not there", number, p)
			continue
		}
		if string(value) != string(payload(number)) {
			t.Errorf("changed: record %d at %+v has other bytes", number, p)
		}
	}
	if exactlyOnce {
		auditOrder(t, found)
	}
	t.Logf("%s: %d acknowledged, %d stored, refused: %v", topic, len(l.acked), len(found), l.failed)
}

func auditOrder(t *testing.T, found map[place][]byte) {
	t.Helper()
	byPartition := make(map[int32]map[int64]uint64)
	for p, value := range found {
		if byPartition[p.partition] == nil {
			byPartition[p.partition] = make(map[int64]uint64)
		}
		byPartition[p.partition][p.offset] = binary.BigEndian.Uint64(value)
	}
	for partition, numbers := range byPartition {
		last := int64(-1)
		for offset := range int64(len(numbers)) {
			number, ok := numbers[offset]
			if !ok {
				t.Errorf("partition %d: no record at offset %d of %d", partition, offset, len(numbers))
				continue
			}
			if int64(number) <= last {
				t.Errorf("partition %d offset %d: record %d after record %d: twice, or out of order", partition, offset, number, last)
			}
			last = int64(number)
		}
	}
}

func readAll(t *testing.T, addr, topic string) map[place][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cl := client(t, addr, kgo.ConsumeTopics(topic))
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil || ends.Error() != nil {
		t.Fatalf("listing the end offsets: %v %v", err, ends.Error())
	}
	missing := int64(0)
	ends.Each(func(o kadm.ListedOffset) { missing += o.Offset })
	found := make(map[place][]byte, missing)
	for int64(len(found)) < missing {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read %d of %d records: %v", len(found), missing, err)
		}
		fetches.EachError(func(topic string, partition int32, err error) { t.Errorf("reading %s-%d: %v", topic, partition, err) })
		fetches.EachRecord(func(r *kgo.Record) { found[place{r.Partition, r.Offset}] = r.Value })
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
