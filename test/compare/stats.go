package main

import (
	"fmt"
	"math"
	"slices"
)

// metricOrder is the order in which metrics are printed.
var metricOrder = []string{rate, p50, p99, p999, cpu, memory, writes, joinTime, leaveTime, startSeconds, fetchSeconds, produceSeconds}

// spread is a median with its extremes.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) (s spread, ok bool) {
	if len(values) == 0 {
		return s, false
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	s = spread{v[mid], v[0], v[len(v)-1]}
	if len(v)%2 == 0 {
		s.median = (v[mid-1] + v[mid]) / 2
	}
	return s, true
}

// values are one broker's values of a metric in the counted rounds.
func (o *outcome) values(broker setup, metric string) (all []float64) {
	for _, m := range o.Runs {
		if v, ok := m.Metrics[metric]; ok && m.Broker == broker && m.Round > 0 {
			all = append(all, v)
		}
	}
	return all
}

// ratios are Chronik / other, round by round. A round that lacks one of the two does not count.
func (o *outcome) ratios(metric string) (all []float64) {
	byRound := make(map[int][2]float64)
	for _, m := range o.Runs {
		v, ok := m.Metrics[metric]
		if !ok || m.Round == 0 {
			continue
		}
		pair := byRound[m.Round]
		if m.Broker == o.Ours {
			pair[0] = v
		} else {
			pair[1] = v
		}
		byRound[m.Round] = pair
	}
	for _, pair := range byRound {
		if pair[0] > 0 && pair[1] > 0 {
			all = append(all, pair[0]/pair[1])
		}
	}
	return all
}

// number prints three significant digits, and thousands as K.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99_950:
		return fmt.Sprintf("%.0fK", v/1000)
	case a >= 1000:
		return fmt.Sprintf("%.1fK", v/1000)
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// ratio prints a spread of ratios.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s to %s)", number(s.median), number(s.min), number(s.max))
}
