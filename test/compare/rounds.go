package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// outcome is all that is known of one scenario.
type outcome struct {
	Name    string         `json:"name"`
	Title   string         `json:"title"`
	When    time.Time      `json:"when"`
	Ours    setup          `json:"ours"`
	Other   setup          `json:"other"`
	Seconds float64        `json:"seconds_per_run"`
	Runs    []*measurement `json:"runs"`
}

// all runs the chosen scenarios. A run that is not verified is noted and the rest goes on; anything else
// that goes wrong ends it. What was measured until then is returned in any case.
func (h *harness) all(ctx context.Context, chosen []scenario) (done []*outcome, err error) {
	var broken []error
	for _, sc := range chosen {
		o, err := h.scenario(ctx, sc)
		if o != nil && len(o.Runs) > 0 {
			done = append(done, o)
			h.explain(os.Stderr, sc, o)
		}
		if err != nil {
			err = fmt.Errorf("scenario %s: %w", sc.name, err)
			if !errors.Is(err, errUnverified) {
				return done, errors.Join(append(broken, err)...)
			}
			broken = append(broken, err)
		}
	}
	runs := 0
	for _, o := range done {
		runs += len(o.Runs)
	}
	fmt.Fprintf(os.Stderr, "%d runs of %d scenarios, %d scenarios not verified\n", runs, len(done), len(broken))
	return done, errors.Join(broken...)
}

var errUnverified = errors.New("a run was not verified")

// scenario runs one scenario's rounds, alternating, every other round in the opposite order.
func (h *harness) scenario(ctx context.Context, sc scenario) (*outcome, error) {
	sides := []setup{sc.ours(), sc.against}
	switch h.set.only {
	case "chronik":
		sides = slices.DeleteFunc(sides, func(s setup) bool { return !s.ours() })
	case "kafka":
		sides = slices.DeleteFunc(sides, setup.ours)
	}
	if h.set.short {
		sides = sides[:1]
	}
	duration := h.set.duration
	if sc.share > 0 {
		duration = time.Duration(float64(duration) * sc.share)
	}
	rounds, first := h.set.rounds, 0 // round 0 is not counted
	switch {
	case h.set.short:
		rounds, first = 1, 1
	case sc.driver == resident:
		rounds, first = 1, 1
	case sc.driver == lifecycle:
		first = 1
		if err := h.close(); err != nil { // its brokers run alone
			return nil, err
		}
	}
	o := &outcome{Name: sc.name, Title: sc.title, When: time.Now().UTC(), Ours: sc.ours(), Other: sc.against, Seconds: duration.Seconds()}
	for round := first; round <= rounds; round++ {
		for _, side := range sides {
			m, err := h.one(ctx, sc, side, duration)
			if m != nil {
				m.Round = round
				o.Runs = append(o.Runs, m)
				fmt.Fprintf(os.Stderr, "%-16s round %d  %-15s %s\n", sc.name, round, side, brief(m))
			}
			if m != nil && !m.Verified {
				return o, fmt.Errorf("%w: %w", errUnverified, err)
			}
			if err != nil {
				return o, err
			}
		}
		slices.Reverse(sides)
	}
	return o, nil
}

func (h *harness) one(ctx context.Context, sc scenario, side setup, duration time.Duration) (*measurement, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sc.driver == lifecycle {
		return h.lifecycle(ctx, side)
	}
	if err := h.only(sc.ours(), sc.against); err != nil {
		return nil, err
	}
	c, err := h.up(ctx, side)
	if err != nil {
		return nil, err
	}
	return h.drive(ctx, sc, c, duration)
}

// brief is one run on one line.
func brief(m *measurement) string {
	text := ""
	for _, name := range metricOrder {
		if v, ok := m.Metrics[name]; ok {
			text += fmt.Sprintf("%s %s  ", name, number(v))
		}
	}
	if !m.Verified {
		text += m.Verdict
	}
	return text
}
