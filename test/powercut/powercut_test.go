package powercut

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"chronik/internal/vfs/crashfs"
)

var (
	seeds = flag.Int("powercut.seeds", 80, "how many stories TestPowerCut tells")
	first = flag.Uint64("powercut.first", 1, "the first seed")
	only  = flag.Uint64("powercut.seed", 0, "tell only the story of this seed, and tell its plan and the node's log")
)

// TestPowerCut tells one story per seed; see the package's comment.
func TestPowerCut(t *testing.T) {
	t.Setenv("GODEBUG", "tracebacklabels=1") // a panic names its seed
	if *only != 0 {
		tell(t, *only, true, new(totals))
		return
	}
	var told totals
	var g errgroup.Group
	g.SetLimit(4 * runtime.GOMAXPROCS(0)) // clients and disks wait a lot
	for i := range uint64(*seeds) {
		g.Go(func() error {
			tell(t, *first+i, false, &told)
			return nil
		})
	}
	_ = g.Wait()
	t.Logf("%d stories of %d lives, with %d records acknowledged", *seeds, told.lives.Load(), told.acked.Load())
}

// totals is what a run amounts to.
type totals struct{ lives, acked atomic.Int64 }

// tell tells one story and reports what was wrong.
func tell(t *testing.T, seed uint64, loud bool, sum *totals) {
	var log logTail
	p := newPlan(seed)
	acked, errs := story(p, nil, log.logger(slog.LevelWarn))
	sum.lives.Add(int64(len(p.lives) + 1))
	sum.acked.Add(acked)
	if loud {
		t.Logf("seed %d: %v\n%s", seed, p, &log)
	}
	if len(errs) == 0 {
		return
	}
	const most = 12
	if more := len(errs) - most; more > 0 {
		errs = append(errs[:most], fmt.Errorf("and %d more", more))
	}
	t.Errorf("seed %d: %v\n  %v\nreplay: go test ./test/powercut -run 'TestPowerCut$' -powercut.seed=%d -count=20\nthe node's log ended with:\n%s",
		seed, p, strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "\n  "), seed, &log)
}

// story runs a plan and returns how many records were acknowledged, and what was wrong. lies says which syncs do nothing;
// nil: none.
func story(p plan, lies func(crashfs.Kind, string) bool, log *slog.Logger) (acked int64, errs []error) {
	m, err := newMachine(p, log)
	if err != nil {
		return 0, []error{err}
	}
	m.lies = lies
	ctx, cancel := withPatience(context.Background())
	defer cancel()
	give, giveUp := context.WithCancelCause(ctx)
	l, err := newLoad(m, p, giveUp)
	if err != nil {
		return 0, []error{err}
	}
	defer l.close()

	loading, stopLoad := context.WithCancel(give)
	defer stopLoad()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.create(give); err != nil {
			l.wrong(err)
			return
		}
		l.run(loading, give)
	})
	if err := live(give, m, p.lives); err != nil {
		l.wrong(err)
		wg.Wait()
		return 0, []error{l.wrongs()}
	}
	errs = finish(give, m, l, func() { stopLoad(); wg.Wait() })
	for _, t := range l.topics {
		acked += int64(t.Acked())
	}
	return acked, errs
}

// live leads the node through its lives.
func live(ctx context.Context, m *machine, lives []life) error {
	for i, life := range lives {
		if err := m.run(ctx, life); err != nil {
			return fmt.Errorf("life %d: %w", i+1, err)
		}
	}
	return nil
}

// finish starts the node for the last time, sees that all goes on, ends the load and audits.
func finish(ctx context.Context, m *machine, l *load, endLoad func()) []error {
	stop, err := m.serve()
	if err != nil {
		l.wrong(err)
		endLoad()
		return []error{l.wrongs()}
	}
	for _, t := range l.topics {
		if err := t.Await(ctx, 3); err != nil {
			l.wrong(fmt.Errorf("after the last cut: %w", err))
		}
	}
	endLoad()
	var errs []error
	if err := l.wrongs(); err != nil {
		errs = append(errs, err)
	} else {
		errs = l.audit(ctx, m.dial)
	}
	if err := stop(); err != nil {
		errs = append(errs, err)
	}
	return errs
}
