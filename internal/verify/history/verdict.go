package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Verdict is what a history amounts to.
type Verdict struct {
	Counts     Counts      `json:"counts"`
	Findings   []*Findings `json:"findings"`             // by kind, violations before notes
	Unfinished []string    `json:"unfinished,omitempty"` // why it cannot be said that nothing is lost
	Gaps       []Gap       `json:"gaps"`                 // of each partition the ten longest, longest first
}

// OK tells whether everything was looked at and nothing was violated.
func (v *Verdict) OK() bool {
	return len(v.Unfinished) == 0 && !slices.ContainsFunc(v.Findings, func(f *Findings) bool { return !f.Note })
}

// Count is how often a kind was found.
func (v *Verdict) Count(k Kind) int64 {
	for _, f := range v.Findings {
		if f.Kind == k {
			return f.Count
		}
	}
	return 0
}

// Finish judges what only the end can tell, and returns the verdict. The Checker takes nothing more.
func (c *Checker) Finish() (*Verdict, error) {
	v := &Verdict{}
	for _, n := range slices.Sorted(maps.Keys(c.partitions)) {
		p := c.partitions[n]
		if !p.complete {
			v.Unfinished = append(v.Unfinished, fmt.Sprintf("partition %d was not read to its end: what was lost there is not known", n))
		}
		c.skipped(p)
		c.sweep(p)
		v.Gaps = append(v.Gaps, c.gaps[n].longest...)
	}
	for _, n := range slices.Sorted(maps.Keys(c.producers)) {
		c.kept(n)
	}
	if c.pages.err != nil {
		return nil, c.pages.err
	}
	v.Counts = c.counts
	v.Findings = slices.SortedFunc(maps.Values(c.found), func(a, b *Findings) int {
		if a.Note != b.Note {
			return map[bool]int{false: -1, true: 1}[a.Note]
		}
		return cmp.Compare(a.Kind, b.Kind)
	})
	return v, nil
}
