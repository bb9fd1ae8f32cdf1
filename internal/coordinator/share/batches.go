package share

import (
	"cmp"
	"fmt"
	"slices"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// DeliveryState is the fate of a record. The numbers are those of the log and of the wire.
type DeliveryState int8

const (
	// Available: it may be delivered, for the first time or again.
	Available DeliveryState = 0
	// Acquired: a member has it. This is not written: whoever loads the state does not know the member's time.
	Acquired DeliveryState = 1
	// Acknowledged: it was processed.
	Acknowledged DeliveryState = 2
	// Archived: it was rejected, delivered too often, or is not there any more.
	Archived DeliveryState = 4
)

// Final tells that a record is never delivered again.
func (s DeliveryState) Final() bool { return s == Acknowledged || s == Archived }

// Batch is the records from First to Last, both included, which have one fate.
type Batch struct {
	First, Last model.Offset
	State       DeliveryState
	Deliveries  int16
}

// valid tells whether a batch of a request can be.
func (b Batch) valid() bool {
	return b.First >= 0 && b.First <= b.Last && b.Deliveries >= 0 && (b.State == Available || b.State.Final())
}

// alike tells whether two batches have one fate.
func (b Batch) alike(o Batch) bool { return b.State == o.State && b.Deliveries == o.Deliveries }

// fate compares what became of records: more deliveries are later, and with as many of them what is more final.
func (b Batch) fate(o Batch) int {
	return cmp.Or(cmp.Compare(b.Deliveries, o.Deliveries), cmp.Compare(b.State, o.State))
}

// combine returns what two lists say together, from an offset on: of each record the later fate. The first list is in order without
// overlaps, the second one may be anything. So is the result in order without overlaps, and no two neighbours are alike.
func combine(have, more []Batch, start model.Offset) []Batch {
	more = slices.Clone(more)
	slices.SortStableFunc(more, func(a, b Batch) int { return cmp.Compare(a.First, b.First) })
	for len(more) > 0 {
		var layer, rest []Batch // what overlaps waits for the next round
		for _, b := range more {
			if n := len(layer); n > 0 && layer[n-1].Last >= b.First {
				rest = append(rest, b)
			} else {
				layer = append(layer, b)
			}
		}
		have, more = merge(have, layer), rest
	}
	return trim(have, start)
}

// merge is combine for two lists in order without overlaps.
func merge(a, b []Batch) []Batch {
	out := make([]Batch, 0, len(a)+len(b))
	var x, y Batch // the rests of the first of each, empty if First is above Last
	x.Last, y.Last = -1, -1
	next := func(cur *Batch, list *[]Batch) bool {
		if cur.First > cur.Last && len(*list) > 0 {
			*cur, *list = (*list)[0], (*list)[1:]
		}
		return cur.First <= cur.Last
	}
	for {
		haveX, haveY := next(&x, &a), next(&y, &b)
		switch {
		case !haveX && !haveY:
			return out
		case !haveY || haveX && x.Last < y.First:
			out = add(out, x)
			x.First = x.Last + 1
		case !haveX || y.Last < x.First:
			out = add(out, y)
			y.First = y.Last + 1
		case x.First != y.First: // the earlier one is alone up to the other
			early, late := &x, &y
			if y.First < x.First {
				early, late = late, early
			}
			part := *early
			part.Last = late.First - 1
			out = add(out, part)
			early.First = late.First
		default:
			part := x
			if y.fate(x) > 0 {
				part = y
			}
			part.Last = min(x.Last, y.Last)
			out = add(out, part)
			x.First, y.First = part.Last+1, part.Last+1
		}
	}
}

// add appends a batch, to the last one if it is alike and its neighbour.
func add(out []Batch, b Batch) []Batch {
	if n := len(out); n > 0 && out[n-1].Last+1 == b.First && out[n-1].alike(b) {
		out[n-1].Last = b.Last
		return out
	}
	return append(out, b)
}

// trim leaves out what is below the start.
func trim(batches []Batch, start model.Offset) []Batch {
	n := 0
	for n < len(batches) && batches[n].Last < start {
		n++
	}
	batches = slices.Clip(batches[n:])
	if len(batches) > 0 && batches[0].First < start {
		batches = slices.Clone(batches)
		batches[0].First = start
	}
	return batches
}

// fromRecord reads the batches of a record. Those of newer states are kept as they are.
func fromRecord(batches []schema.ShareBatch) ([]Batch, error) {
	out := make([]Batch, len(batches))
	for i, b := range batches {
		if b.FirstOffset > b.LastOffset {
			return nil, fmt.Errorf("%w: a batch from %d to %d", schema.ErrCorrupt, b.FirstOffset, b.LastOffset)
		}
		out[i] = Batch{model.Offset(b.FirstOffset), model.Offset(b.LastOffset), DeliveryState(b.DeliveryState), b.DeliveryCount}
	}
	return out, nil
}

func toRecord(batches []Batch) []schema.ShareBatch {
	out := make([]schema.ShareBatch, len(batches))
	for i, b := range batches {
		out[i] = schema.ShareBatch{FirstOffset: int64(b.First), LastOffset: int64(b.Last), DeliveryState: int8(b.State), DeliveryCount: b.Deliveries}
	}
	return out
}
