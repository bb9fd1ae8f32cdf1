package robustness

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
	"chronik/test/process"
)

var (
	duration = flag.Duration("garbage", 5*time.Second, "how long TestGarbageHarmsNobody attacks")
	seed     = flag.Uint64("seed", 0, "what the attackers' choices come from; 0: the clock")
)

const (
	goodTopic = "good"
	// requestMemory is what the server may hold for requests. Go's collector lets the heap grow to twice what is
	// in use; the rest is the program, its stacks and what is on its way out.
	requestMemory = 64 << 20
	maxResident   = 2*requestMemory + 128<<20

	// patience is the longest that the good client may be kept from an acknowledgement. It and some two hundred attackers share
	// the processors with the server.
	patience = 10 * time.Second
)

// TestGarbageHarmsNobody (E2).
func TestGarbageHarmsNobody(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	b := process.Start(t, process.Args("--config", configFile(t)))
	ctx, cancel := context.WithTimeout(t.Context(), *duration+2*time.Minute)
	defer cancel()
	good := startGood(ctx, t, b.KafkaAddr)
	before := resident(t, b.PID())

	attacking, end := context.WithTimeout(ctx, *duration)
	defer end()
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := make(map[string]int)
	for i, a := range attacks {
		for j := range a.clients {
			wg.Go(func() {
				n := a.live(attacking, b.KafkaAddr, rand.New(rand.NewPCG(*seed, uint64(i<<16|j))))
				mu.Lock()
				counts[a.name] += n
				mu.Unlock()
			})
		}
	}
	peak := good.watch(attacking, t, b.PID())
	wg.Wait()
	t.Logf("connections: %v", counts)
	t.Logf("resident memory: %d MiB before, %d MiB at most", before>>20, peak>>20)
	if peak > maxResident {
		t.Errorf("resident memory rose to %d MiB, the most is %d", peak>>20, maxResident>>20)
	}
	good.finish(ctx, t)
	metric := metrics(t, b.HTTPAddr)
	if n := metric["chronik_handler_panics_total"]; n != 0 {
		t.Errorf("%v handlers panicked", n)
	}
	if metric["chronik_connections_failed_total"] < float64(len(attacks)) {
		t.Errorf("only %v connections failed: the attackers attack nobody", metric["chronik_connections_failed_total"])
	}
	awaitConnectionsGone(ctx, t, b.HTTPAddr)
	if err := b.Stop(); err != nil {
		t.Errorf("the server did not end in good order: %v", err)
	}
}

func configFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "chronik.toml")
	text := fmt.Sprintf(`[kafka]
"socket.request.max.bytes" = %d
"queued.max.request.bytes" = %d
"auto.create.topics.enable" = false
`, maxRequest, requestMemory)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// goodClient produces and consumes all the while, and keeps the promises that it was given.
type goodClient struct {
	ledger             *ledger.Ledger
	addr               string
	producer, consumer *kgo.Client
	stop               context.CancelFunc
	running            sync.WaitGroup
}

func startGood(ctx context.Context, t *testing.T, addr string) *goodClient {
	t.Helper()
	g := &goodClient{ledger: ledger.New(goodTopic, nil), addr: addr}
	g.producer = g.dial(t)
	admin := kadm.NewClient(g.producer)
	for _, topic := range []string{goodTopic, trashTopic} {
		if _, err := admin.CreateTopic(ctx, 2, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	g.consumer = g.dial(t, kgo.ConsumeTopics(goodTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, g.stop = context.WithCancel(ctx)
	g.running.Go(func() { g.ledger.Produce(ctx, g.producer, 20) })
	g.running.Go(func() {
		for ctx.Err() == nil {
			g.consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				g.ledger.Show(ledger.Place{Partition: r.Partition, Offset: r.Offset}, r.Value)
			})
		}
	})
	if err := g.ledger.Await(ctx, 100); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *goodClient) dial(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(g.addr), kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// watch sees to it, until the attack ends, that the good client gets on; it returns the most memory that the server had.
func (g *goodClient) watch(attacking context.Context, t *testing.T, pid int) (peak int64) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	acked, since, longest := g.ledger.Acked(), time.Now(), time.Duration(0)
	began, first := time.Now(), acked
	for attacking.Err() == nil {
		select {
		case <-tick.C:
		case <-attacking.Done():
		}
		peak = max(peak, resident(t, pid))
		if n := g.ledger.Acked(); n > acked {
			acked, since = n, time.Now()
		}
		longest = max(longest, time.Since(since))
		if time.Since(since) > patience {
			t.Fatalf("the good client has had no acknowledgement for %v", patience)
		}
	}
	t.Logf("the good client: %.0f acknowledgements/s, none for %v at most", float64(acked-first)/time.Since(began).Seconds(), longest.Round(time.Millisecond))
	return peak
}

// finish ends the good client's work and audits all that it was promised.
func (g *goodClient) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := g.ledger.Await(ctx, 100); err != nil {
		t.Fatal(err)
	}
	g.stop()
	g.running.Wait()
	if err := g.producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	found, err := ledger.Read(ctx, func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(g.addr)}, opts...)...)
	}, goodTopic)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range g.ledger.Audit(found, ledger.Rule{ExactlyOnce: true}) {
		t.Error(err)
	}
	if refused := g.ledger.Refused(); len(refused) > 0 {
		t.Errorf("records of the good client were refused: %v", refused)
	}
	g.producer.Close()
	g.consumer.Close()
}

// resident is the process's resident memory in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatalf("the server is gone: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// metrics reads the server's counters that have no labels.
func metrics(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := make(map[string]float64)
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 10<<20))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				out[name] = v
			}
		}
	}
	return out
}

// awaitConnectionsGone: with all clients gone, the server must notice, and not keep their connections.
func awaitConnectionsGone(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		n := metrics(t, addr)["chronik_connections"]
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("%v connections are left after all clients have gone", n)
			return
		}
	}
}
