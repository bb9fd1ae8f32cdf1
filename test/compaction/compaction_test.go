package compaction

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/process"
)

var (
	mebibytes = flag.Int64("mebibytes", 24, "how much TestLatestOfEachKey writes")
	kills     = flag.Int("kills", 2, "how often it kills the server between writes, and some times more at the end")
)

const (
	topic      = "compacted"
	partitions = 3
	valueBytes = 1000
	perKey     = 6 // how often each key is written, about
)

// TestLatestOfEachKey writes a topic of few keys while a server compacts it, and kills that with SIGKILL at random moments, most of them
// while a segment is being rewritten or replaced; after each kill more is written. When all is compacted, each key's last record is the last that was written for it, and
// every other one is in the part that no compaction has seen yet, which is smaller than a segment.
func TestLatestOfEachKey(t *testing.T) {
	total := *mebibytes << 20
	segment := max(total/64, 1<<20)
	config := filepath.Join(t.TempDir(), "server.toml")
	if err := os.WriteFile(config, []byte("[kafka]\nlog.cleaner.backoff.ms = 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := process.Start(t, process.Args("--config", config))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(*mebibytes)*time.Second)
	defer cancel()
	cl := connect(t, b.KafkaAddr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(64<<10), kgo.MaxBufferedRecords(2000))
	create(ctx, t, cl, segment)

	w := newWriter(total)
	written, next := make(chan error, 1), make(chan struct{}, *kills)
	go func() { written <- w.write(ctx, cl, total, next) }()
	inCleaning := 0
	killed := 0
	for done := false; !done || killed < *kills+2; killed++ {
		patience := 2*time.Second + time.Duration(*mebibytes)*30*time.Millisecond // before anything is rewritten, all is read
		if rand.IntN(4) == 0 {
			patience = rand.N(patience)
		}
		seen, err := awaitCleaning(ctx, b.DataDir, patience)
		if err != nil {
			t.Fatal(err)
		}
		b.Kill()
		inCleaning += seen
		b.Restart()
		if killed < *kills {
			next <- struct{}{}
		}
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
	}
	t.Logf("%d kills, %d of them with a segment half written", killed, inCleaning)
	if err := awaitCleaned(ctx, b.DataDir); err != nil {
		t.Fatal(err)
	}
	w.audit(ctx, t, b.KafkaAddr, segment)
}

func connect(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.RecordRetries(1 << 30),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func create(ctx context.Context, t *testing.T, cl *kgo.Client, segment int64) {
	t.Helper()
	size := strconv.FormatInt(segment, 10)
	compact, ratio, keep := "compact", "0.2", "86400000"
	configs := map[string]*string{"cleanup.policy": &compact, "min.cleanable.dirty.ratio": &ratio, "segment.bytes": &size, "delete.retention.ms": &keep}
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, configs, topic); err != nil {
		t.Fatal(err)
	}
}

// awaitCleaning returns when a partition's segment is being rewritten, at a random moment of that: half is 1 then. Otherwise it returns after a
// while. What an earlier process has left half written does not count.
func awaitCleaning(ctx context.Context, dataDir string, most time.Duration) (half int, err error) {
	begun := time.Now()
	err = poll(ctx, func() (bool, error) {
		names, err := segments(dataDir, ".tmp")
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.ModTime().After(begun) {
				half = 1
			}
		}
		if half == 0 || err != nil {
			return time.Since(begun) > most, err
		}
		return rand.IntN(8) == 0, nil
	})
	return half, err
}

// awaitCleaned returns when all segments but the last of each partition are such as compaction has written.
func awaitCleaned(ctx context.Context, dataDir string) error {
	return poll(ctx, func() (bool, error) {
		names, err := segments(dataDir, ".wal")
		left := 0
		for _, name := range names {
			if !strings.Contains(strings.TrimPrefix(filepath.Base(name), "segment_"), "_") {
				left++
			}
		}
		half, err2 := segments(dataDir, ".tmp")
		if err == nil {
			err = err2
		}
		return left == partitions && len(half) == 0, err
	})
}

func segments(dataDir, suffix string) ([]string, error) {
	return filepath.Glob(filepath.Join(dataDir, "wal", "partitions", topic+"-*", "segment_*"+suffix))
}

// poll asks again and again: a process cannot be waited for in any other way.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it took too long: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
