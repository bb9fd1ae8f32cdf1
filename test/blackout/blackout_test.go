package blackout

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"chronik/internal/verify"
	"chronik/internal/verify/history"
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
				o := tell(t, p, nil)
				sum.add(p, o)
				if wrong := o.wrongs(); wrong != "" {
					t.Errorf("seed %d:%v\n%s\nreplay: go test ./test/blackout -run 'TestBlackout$' -count=20 -args -blackout.seed=%d", p.seed, p, wrong, p.seed)
				}
			})
		}
	})
	t.Log(&sum)
}

// outcome is what a story amounts to.
type outcome struct {
	report *verify.Report // what the clients saw; nil: it did not come to that
	alone  *leaderOnly    // what became of records with acks=1
	err    error          // what else went wrong
}

// wrongs is what must not be; empty if all is well.
func (o *outcome) wrongs() string {
	var texts []string
	if o.err != nil {
		texts = append(texts, o.err.Error())
	}
	if o.alone != nil {
		if text := o.alone.wrongs(); text != "" {
			texts = append(texts, text)
		}
	}
	if r := o.report; r != nil && (len(r.Unfinished) > 0 || slices.ContainsFunc(r.Findings, violated)) {
		texts = append(texts, r.String())
	}
	return strings.Join(texts, "\n")
}

// violated tells whether a promise is broken. The loss of records with acks=1 is leaderOnly's affair.
func violated(f *history.Findings) bool {
	alone := func(v *history.Violation) bool {
		return f.Kind == history.Lost && len(v.Writes) == 1 && v.Writes[0].Acks == 1
	}
	return !f.Note && slices.ContainsFunc(f.First, func(v *history.Violation) bool { return !alone(v) })
}

// totals is what a run amounts to.
type totals struct{ stories, cuts, all, acked, read, alone, bound atomic.Int64 }

func (s *totals) add(p plan, o *outcome) {
	s.stories.Add(1)
	if o.report == nil {
		return
	}
	s.acked.Add(int64(o.report.Counts.Acked))
	s.read.Add(int64(o.report.Counts.Polled))
	alone, bound := o.alone.counts()
	s.alone.Add(int64(alone))
	s.bound.Add(int64(bound))
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
	return fmt.Sprintf("%d stories: %d times a node lost its power, %d times all did; %d records acknowledged, %d with acks=1, of which %d were bound to stay; %d shown to consumers",
		s.stories.Load(), s.cuts.Load(), s.all.Load(), s.acked.Load(), s.alone.Load(), s.bound.Load(), s.read.Load())
}
