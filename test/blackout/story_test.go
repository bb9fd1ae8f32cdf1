package blackout

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
	"chronik/internal/verify"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// delay is how long a message takes. Without it time stands still while a client asks a node again and again that does not lead any more.
const delay = 300 * time.Microsecond

// settled is when every client has what it asks for once, such as a producer ID: a client that holds a lock until then would stop the time
// while no node answers.
const settled = time.Second

// patience is how much real time a story may take. It takes a fraction of a second, so it hangs then: something holds the virtual time, or goes round
// in it for ever.
const patience = 2 * time.Minute

// watch calls hung if a story is not over in time. There is no way to end a story from outside but to end the process.
func watch(p plan, hung func(text string)) (over func() bool) {
	return time.AfterFunc(patience, func() {
		hung(fmt.Sprintf("seed %d hangs: it is not over after %v of real time\n%v", p.seed, patience, p))
	}).Stop
}

func panicWithAllStacks(text string) {
	debug.SetTraceback("all")
	panic(text)
}

// tell runs a plan. disk stands between nodes and their disks; nil: nothing does.
func tell(t *testing.T, p plan, disk func(id int, disk *crashfs.FS) vfs.FS) *outcome {
	over := watch(p, panicWithAllStacks)
	defer over()
	var w witness
	var o *outcome
	synctest.Test(t, func(t *testing.T) {
		w.TB = t
		c := testcluster.New(&w, nodes, map[string]string{"min.insync.replicas": "2"})
		c.Disk = disk
		c.Net.SetDelay(delay)
		o = clients(t, c, p)
	})
	o.err = errors.Join(append(w.errs, o.err)...)
	return o
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
func clients(t *testing.T, c *testcluster.Cluster, p plan) *outcome {
	if err := each(1, 2, 3)(c.TryRun); err != nil {
		return &outcome{err: err}
	}
	var seen bytes.Buffer
	run, err := verify.Start(t.Context(), verify.Options{
		Brokers: []string{"n1:9092", "n2:9092", "n3:9092"}, Client: []kgo.Opt{kgo.Dialer(c.Dial)},
		Partitions: 2, Replication: nodes, Rate: 120,
		Producers: []verify.Producer{verify.Idempotent, verify.Plain, verify.OneByOne, verify.LeaderOnly},
		Consumers: []verify.Consumer{{}, {Restart: 2 * time.Second}},
		History:   &seen,
	})
	if err != nil {
		return &outcome{err: err}
	}
	time.Sleep(settled) // virtual, as all the time here
	var errs []error
	for i, e := range p.events {
		time.Sleep(e.after)
		if err := each(e.blows...)(func(b blow) error { return suffer(c, b) }); err != nil {
			errs = append(errs, fmt.Errorf("event %d: %w", i+1, err))
		}
	}
	report, err := run.Stop(t.Context())
	alone, rerr := readLeaderOnly(&seen, p.zombies())
	return &outcome{report, alone, errors.Join(append(errs, err, rerr)...)}
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
