package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/internal/verify/history"
)

// Printed is how many violations of one kind a report prints.
const Printed = 5

// Report is what a run has seen. As JSON it holds more than it prints.
type Report struct {
	history.Verdict
	Topic    string           `json:"topic,omitempty"`
	Began    time.Time        `json:"began,omitzero"`     // all times in the report count from it; unknown of a history from a file
	Took     time.Duration    `json:"took_ns"`            // of the writing
	Troubles map[string]int64 `json:"troubles,omitempty"` // errors that clients met, and how often: no violations
}

// MarshalJSON adds ok, which is what OK says.
func (r *Report) MarshalJSON() ([]byte, error) {
	type fields Report // without this method
	return json.Marshal(struct {
		OK bool `json:"ok"`
		*fields
	}{r.OK(), (*fields)(r)})
}

// String is for people.
func (r *Report) String() string {
	var b strings.Builder
	n := r.Counts
	if !r.Began.IsZero() {
		fmt.Fprintf(&b, "began %s; times below count from then\n", r.Began.Format("15:04:05.000"))
	}
	fmt.Fprintf(&b, "%s: %d records sent, %d acknowledged, %d failed for certain, %d of unknown outcome; %d shown to consumers, %d read at the end\n",
		r.Took.Round(time.Millisecond), n.Invoked, n.Acked, n.Failed, n.Unknown, n.Polled, n.Read)
	if n.Foreign > 0 {
		fmt.Fprintf(&b, "%d records of other programs were left out\n", n.Foreign)
	}
	r.writeGaps(&b)
	for _, text := range slices.Sorted(maps.Keys(r.Troubles)) {
		fmt.Fprintf(&b, "  met %d x %s\n", r.Troubles[text], text)
	}
	for _, f := range r.Findings {
		mark := "VIOLATED"
		if f.Note {
			mark = "note"
		}
		fmt.Fprintf(&b, "%s %s: %d times. %s\n", mark, f.Kind, f.Count, f.Meaning)
		for _, v := range f.First[:min(Printed, len(f.First))] {
			fmt.Fprintf(&b, "  %s: %s\n", v.Time.Round(time.Millisecond), v)
		}
		if more := f.Count - Printed; more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	for _, u := range r.Unfinished {
		fmt.Fprintf(&b, "UNFINISHED %s\n", u)
	}
	if r.OK() {
		b.WriteString("OK: nothing was violated\n")
	} else {
		b.WriteString("NOT OK\n")
	}
	return b.String()
}

// writeGaps prints the longest time without acknowledgement of each partition.
func (r *Report) writeGaps(b *strings.Builder) {
	seen := make(map[int32]bool)
	for _, g := range r.Gaps {
		if !seen[g.Partition] {
			seen[g.Partition] = true
			fmt.Fprintf(b, "partition %d: longest time without an acknowledged write %s, from %s on\n",
				g.Partition, g.Length().Round(time.Millisecond), g.From.Round(time.Millisecond))
		}
	}
}
