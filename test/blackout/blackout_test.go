package blackout

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
	"chronik/internal/verify"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

var (
	seeds = flag.Int("blackout.seeds", 2, "how many stories TestBlackout tells")
	first = flag.Uint64("blackout.first", 1, "the first seed")
	only  = flag.Uint64("blackout.seed", 0, "tell only the story of this seed")
)

// TestBlackout tells one story per seed; see the package's comment.
func TestBlackout(t *testing.T) {
	from, n := *first, *seeds
	if *only != 0 {
		from, n = *only, 1
	}
	var sum totals
	t.Run("stories", func(t *testing.T) {
		for i := range uint64(n) {
			p := newPlan(from + i)
			t.Run(fmt.Sprint(p.seed), func(t *testing.T) {
				t.Parallel()
				report, err := tell(t, p, nil)
				sum.add(p, report)
				if wrong := wrongs(report, err); wrong != "" {
					t.Errorf("seed %d:%v\n%s\nreplay: go test ./test/blackout -run 'TestBlackout$' -count=20 -args -blackout.seed=%d", p.seed, p, wrong, p.seed)
				}
			})
		}
	})
	t.Log(&sum)
}

// totals is what a run amounts to.
type totals struct{ stories, cuts, all, acked, read atomic.Int64 }

func (s *totals) add(p plan, r *verify.Report) {
	s.stories.Add(1)
	if r == nil {
		return
	}
	s.acked.Add(int64(r.Counts.Acked))
	s.read.Add(int64(r.Counts.Polled))
	for _, e := range p.events {
		for _, b := range e.blows {
			if b.kind == powerCut {
				s.cuts.Add(1)
			}
			if b.again > 0 {
				s.cuts.Add(1)
			}
		}
		if len(e.blows) == nodes {
			s.all.Add(1)
		}
	}
}

func (s *totals) String() string {
	return fmt.Sprintf("%d stories: %d times a node lost its power, %d times all did; %d records acknowledged, %d shown to consumers",
		s.stories.Load(), s.cuts.Load(), s.all.Load(), s.acked.Load(), s.read.Load())
}

// delay is how long a message takes. Without it time stands still while a client asks a node again and again that does not lead any more.
const delay = 300 * time.Microsecond

// settled is when every client has what it asks for once, such as a producer ID: a client that holds a lock until then would stop the time
// while no node answers.
const settled = time.Second

// wrongs is what must not be; empty if all is well.
func wrongs(report *verify.Report, err error) string {
	var texts []string
	if err != nil {
		texts = append(texts, err.Error())
	}
	if report != nil && !report.OK() {
		texts = append(texts, report.String())
	}
	return strings.Join(texts, "\n")
}

// tell runs a plan and returns what the clients saw, and what else went wrong. disk stands between nodes and their disks; nil: nothing does.
func tell(t *testing.T, p plan, disk func(id int, disk *crashfs.FS) vfs.FS) (report *verify.Report, err error) {
	var w witness
	synctest.Test(t, func(t *testing.T) {
		w.TB = t
		c := testcluster.New(&w, nodes, map[string]string{"min.insync.replicas": "2"})
		c.Disk = disk
		c.Net.SetDelay(delay)
		report, err = clients(t, c, p)
	})
	return report, errors.Join(append(w.errs, err)...)
}

// witness takes down what a cluster complains of.
type witness struct {
	testing.TB
	mu   sync.Mutex
	errs []error
}

// Errorf implements testing.TB.
func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

// clients runs them through the plan.
func clients(t *testing.T, c *testcluster.Cluster, p plan) (*verify.Report, error) {
	if err := each(1, 2, 3)(c.TryRun); err != nil {
		return nil, err
	}
	run, err := verify.Start(t.Context(), verify.Options{
		Brokers: []string{"n1:9092", "n2:9092", "n3:9092"}, Client: []kgo.Opt{kgo.Dialer(c.Dial)},
		Partitions: 2, Replication: nodes, Rate: 100,
		// None with acks=1: where all nodes lose their power it is promised next to nothing.
		Producers: []verify.Producer{verify.Idempotent, verify.Plain, verify.OneByOne},
		Consumers: []verify.Consumer{{}, {Restart: 2 * time.Second}},
	})
	if err != nil {
		return nil, err
	}
	time.Sleep(settled) // virtual, as all the time here
	for i, e := range p.events {
		time.Sleep(e.after)
		if serr := each(e.blows...)(func(b blow) error { return suffer(c, b) }); serr != nil {
			err = errors.Join(err, fmt.Errorf("event %d: %w", i+1, serr))
		}
	}
	report, serr := run.Stop(t.Context())
	return report, errors.Join(err, serr)
}

// each does something with several at the same time.
func each[T any](list ...T) func(do func(T) error) error {
	return func(do func(T) error) error {
		errs := make([]error, len(list))
		var all sync.WaitGroup
		for i, x := range list {
			all.Go(func() { errs[i] = do(x) })
		}
		all.Wait()
		return errors.Join(errs...)
	}
}

// idle is how long a node may write nothing: then its power goes all the same.
const idle = 2 * time.Second

func suffer(c *testcluster.Cluster, b blow) error {
	switch b.kind {
	case isolation:
		c.Isolate(b.node)
		time.Sleep(b.down)
		c.Rejoin(b.node)
		return nil
	case cleanStop:
		if b.ops > 0 {
			c.CutAfter(b.node, b.ops, b.mode)
		}
		if err := c.TryStop(b.node); err != nil && !errors.Is(err, testcluster.ErrPowerCut) {
			return fmt.Errorf("node %d does not stop in order: %w", b.node, err)
		}
		c.Bury(b.node)
	default:
		die(c, b.node, c.CutAfter(b.node, b.ops, b.mode))
	}
	time.Sleep(b.down)
	if b.again > 0 {
		dead := c.CutAfter(b.node, b.again, b.mode)
		if err := c.TryRun(b.node); err != nil && !errors.Is(err, testcluster.ErrPowerCut) {
			return fmt.Errorf("node %d does not start: %w", b.node, err)
		}
		die(c, b.node, dead)
	}
	if err := c.TryRun(b.node); err != nil {
		return fmt.Errorf("node %d does not start after a power cut: %w", b.node, err)
	}
	return nil
}

// die waits until the power is gone, or takes it.
func die(c *testcluster.Cluster, node int, dead <-chan struct{}) {
	select {
	case <-dead:
		c.Bury(node)
	case <-time.After(idle):
		c.Kill(node)
	}
}
