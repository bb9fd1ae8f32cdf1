package compact

import (
	"math"

	"chronik/internal/model"
)

// Segment is what planning needs to know of a sealed segment. Times are in ms, record.NoTimestamp if there is none.
type Segment struct {
	Base, End     model.Offset
	Bytes         int64 // of batches
	FirstTs, Last int64 // greatest timestamp of the first batch, and of all
	Cleaned       bool  // a round has written it, and it was not cut since
	CleanedTo     model.Offset
}

// Policy is what a topic's configuration says about when to compact.
type Policy struct {
	MinLagMs int64   // min.compaction.lag.ms
	MaxLagMs int64   // max.compaction.lag.ms
	MinRatio float64 // min.cleanable.dirty.ratio
	// MostUncleaned bounds what no round has seen, in bytes, or by as much as is clean if that is more: then it is time, whatever
	// MinRatio says. 0: no bound.
	MostUncleaned int64
}

// Work is what a round would do.
type Work struct {
	From       model.Offset // below, a round has left only one record of each key
	Segments   int          // the first so many may be compacted
	CleanBytes int64        // of those: below From, and from there on
	DirtyBytes int64
	Overdue    bool // a record has waited for max.compaction.lag.ms
	Outgrown   bool // there is more uncleaned than MostUncleaned allows
	Due        bool // it is time
}

// Ratio is the share of what may be compacted that no round has seen: the higher, the sooner it should be.
func (w *Work) Ratio() float64 {
	if w.DirtyBytes == 0 {
		return 0
	}
	return float64(w.DirtyBytes) / float64(w.DirtyBytes+w.CleanBytes)
}

// Look works out what a round would do with a log's sealed segments, none of which may reach above limit: the last stable offset. It
// is Kafka's rule: enough of the log must be unseen, or some of it for too long.
func Look(segs []Segment, limit model.Offset, nowMs int64, p Policy) Work {
	var w Work
	if len(segs) == 0 {
		return w
	}
	w.From = firstDirty(segs)
	oldest := int64(math.MaxInt64)
	for i := range segs {
		s := &segs[i]
		dirty := s.End > w.From
		if s.End > limit || dirty && p.MinLagMs > 0 && s.Last > nowMs-p.MinLagMs {
			break
		}
		w.Segments = i + 1
		if !dirty {
			w.CleanBytes += s.Bytes
			continue
		}
		w.DirtyBytes += s.Bytes
		if s.FirstTs > 0 {
			oldest = min(oldest, s.FirstTs)
		}
	}
	w.Overdue = w.DirtyBytes > 0 && oldest != math.MaxInt64 && p.MaxLagMs > 0 && p.MaxLagMs < nowMs && oldest < nowMs-p.MaxLagMs
	w.Outgrown = p.MostUncleaned > 0 && w.DirtyBytes >= max(p.MostUncleaned, w.CleanBytes)
	w.Due = w.DirtyBytes > 0 && (w.Overdue || w.Outgrown || w.Ratio() > p.MinRatio)
	return w
}

// firstDirty is where the next round's survey begins. Rounds write segments from the front on, and each says how far its survey had
// reached; what one that was cut short has left undone begins behind the last one that it wrote, and no later than an earlier
// round's survey ended.
func firstDirty(segs []Segment) model.Offset {
	from := segs[0].Base
	for i := range segs {
		if !segs[i].Cleaned {
			break
		}
		from = min(segs[i].CleanedTo, segs[i].End)
	}
	return from
}

// Groups splits segments into runs that become one segment each: as many as have at most maxBytes together. It returns the
// lengths of the runs.
func Groups(segs []Segment, maxBytes int64) (runs []int) {
	var bytes int64
	for i := range segs {
		if n := len(runs); n > 0 && bytes+segs[i].Bytes <= maxBytes {
			runs[n-1]++
			bytes += segs[i].Bytes
			continue
		}
		runs, bytes = append(runs, 1), segs[i].Bytes
	}
	return runs
}
