// Package scale holds the test that many partitions on one broker cost little.
package scale

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/process"
)

var partitions = flag.Int("partitions", 1000, "partitions that TestManyPartitions makes")

// The bounds for 10,000 partitions; fewer must do better.
const (
	maxRestart   = 2 * time.Second
	maxResident  = 300 << 20 // bytes
	maxOpenFiles = 2048
)

// TestManyPartitions creates many partitions, writes to each, kills the broker with -9, and demands that it serves
// the first fetch soon after its start, holds little memory and few files, and has every record.
func TestManyPartitions(t *testing.T) {
	b := process.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.KafkaAddr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()

	created := stopwatch(t, "creating")
	const perTopic = 1000
	var topics []string
	for n := 0; n < *partitions; n += perTopic {
		topic := fmt.Sprintf("many-%d", n/perTopic)
		topics = append(topics, topic)
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, int32(min(perTopic, *partitions-n)), 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	created()

	written := stopwatch(t, "writing one record to each")
	for n := range *partitions {
		cl.Produce(ctx, &kgo.Record{Topic: topics[n/perTopic], Partition: int32(n % perTopic), Value: number(n)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	written()
	checkCosts(t, b, "after writing")

	b.Kill()
	began := time.Now()
	if err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	readOne(ctx, t, b.KafkaAddr, topics[len(topics)-1])
	took := time.Since(began)
	t.Logf("start after kill -9 to the first fetch: %v", took)
	if took > maxRestart {
		t.Errorf("the first fetch came %v after the start, the bound is %v", took, maxRestart)
	}

	reading := stopwatch(t, "reading all")
	readEach(ctx, t, b.KafkaAddr, topics)
	reading()
	checkCosts(t, b, "after the restart and reading all")
}

func number(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func stopwatch(t *testing.T, what string) func() {
	began := time.Now()
	return func() { t.Logf("%s %d partitions: %v", what, *partitions, time.Since(began).Round(time.Millisecond)) }
}

// readOne fetches the first record of a topic from a broker that is just starting.
func readOne(ctx context.Context, t *testing.T, addr, topic string) {
	t.Helper()
	cl := consumer(t, addr, map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
		if fetches.NumRecords() > 0 {
			return
		}
	}
}

func readEach(ctx context.Context, t *testing.T, addr string, topics []string) {
	t.Helper()
	wanted := make(map[string]map[int32]kgo.Offset)
	for n := range *partitions {
		topic := topics[n/1000]
		if wanted[topic] == nil {
			wanted[topic] = make(map[int32]kgo.Offset)
		}
		wanted[topic][int32(n%1000)] = kgo.NewOffset().AtStart()
	}
	cl := consumer(t, addr, wanted)
	defer cl.Close()
	seen := make(map[uint64]bool)
	for len(seen) < *partitions {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %d of %d partitions: %v", len(seen), *partitions, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[binary.BigEndian.Uint64(r.Value)] = true })
	}
}

func consumer(t *testing.T, addr string, wanted map[string]map[int32]kgo.Offset) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(wanted), kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// checkCosts holds the process' memory and files against the bounds.
func checkCosts(t *testing.T, b *process.Broker, when string) {
	t.Helper()
	resident, files := residentBytes(t, b.PID()), openFiles(t, b.PID())
	t.Logf("%s: %d MiB resident, %d open files", when, resident>>20, files)
	if resident > maxResident {
		t.Errorf("%s: %d MiB resident, the bound is %d", when, resident>>20, maxResident>>20)
	}
	if files > maxOpenFiles {
		t.Errorf("%s: %d open files, the bound is %d", when, files, maxOpenFiles)
	}
}

func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
