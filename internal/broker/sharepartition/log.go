package sharepartition

import (
	"cmp"
	"slices"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// LogBatch is a record batch as it was read.
type LogBatch struct {
	Base, Last    model.Offset // ends included; compaction leaves both
	Producer      model.ProducerID
	Transactional bool
	Control       bool
	Abort         bool // a control batch whose marker aborts
}

// Aborted is a transaction that was aborted, as the log says with what was read.
type Aborted struct {
	Producer model.ProducerID
	First    model.Offset
}

// wanted tells for each batch whether there are records for anybody in it: not in control batches, and not in those of
// aborted transactions for a group that reads committed records, which is what aborted is for.
func wanted(batches []LogBatch, aborted []Aborted) []bool {
	out := make([]bool, len(batches))
	aborted = slices.Clone(aborted)
	slices.SortStableFunc(aborted, func(a, b Aborted) int { return cmp.Compare(a.First, b.First) })
	open := make(map[model.ProducerID]bool)
	for i, b := range batches {
		for len(aborted) > 0 && aborted[0].First <= b.Last {
			open[aborted[0].Producer] = true
			aborted = aborted[1:]
		}
		if b.Control {
			if b.Abort {
				delete(open, b.Producer)
			}
			continue
		}
		out[i] = !b.Transactional || !open[b.Producer]
	}
	return out
}

// gone archives the offsets from first to last where nobody has them: the log has no records there, or none for this group. It
// tells whether there were any.
func (p *Partition) gone(first, last model.Offset) bool {
	if first > last || first > p.next {
		return false
	}
	any := last >= p.next
	p.extend(last, share.Archived)
	runs := p.between(first, last)
	for i := range runs {
		if r := &runs[i]; r.free() {
			r.set(share.Archived)
			any = true
		}
	}
	return any
}
