package txn

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"chronik/internal/model"
)

// ErrOrder is returned by Append for a transaction that does not end after those that are known.
var ErrOrder = errors.New("aborted transaction out of order")

// AbortedTxn is one aborted transaction of one producer in this partition.
type AbortedTxn struct {
	Producer    model.ProducerID
	FirstOffset model.Offset // of its first record
	LastOffset  model.Offset // of its abort marker
	LastStable  model.Offset // the last stable offset once the marker was in: no transaction open below it
}

// Index lists the aborted transactions of one partition. The zero Index is empty and ready to use.
type Index struct {
	txns []AbortedTxn
}

// Append adds a transaction whose abort marker has just been appended to the log.
func (x *Index) Append(t AbortedTxn) error {
	if err := x.follows(t); err != nil {
		return err
	}
	x.txns = append(x.txns, t)
	return nil
}

func (x *Index) follows(t AbortedTxn) error {
	if t.FirstOffset < 0 || t.LastOffset < t.FirstOffset || t.LastStable < 0 || t.LastStable > t.LastOffset+1 {
		return fmt.Errorf("%w: %+v contradicts itself", ErrOrder, t)
	}
	if n := len(x.txns); n > 0 && (t.LastOffset <= x.txns[n-1].LastOffset || t.LastStable < x.txns[n-1].LastStable) {
		return fmt.Errorf("%w: %+v after %+v", ErrOrder, t, x.txns[n-1])
	}
	return nil
}

// CollectAborted appends to dst the transactions that overlap the offsets [from, to), in the order of
// their markers.
func (x *Index) CollectAborted(dst []AbortedTxn, from, to model.Offset) []AbortedTxn {
	for _, t := range x.txns[x.firstEndingAt(from):] {
		if t.FirstOffset < to {
			dst = append(dst, t)
		}
		if t.LastStable >= to {
			break
		}
	}
	return dst
}

// TruncateTo follows a log whose end is now logEnd: it forgets the transactions whose marker is gone.
// It reports whether anything changed.
func (x *Index) TruncateTo(logEnd model.Offset) bool {
	keep := x.firstEndingAt(logEnd)
	changed := keep < len(x.txns)
	x.txns = x.txns[:keep]
	return changed
}

// DropBefore follows a log whose start is now logStart: it forgets the transactions that ended before
// it. It reports whether anything changed.
func (x *Index) DropBefore(logStart model.Offset) bool {
	drop := x.firstEndingAt(logStart)
	switch {
	case drop == 0:
		return false
	case drop == len(x.txns):
		x.txns = nil
	default:
		x.txns = slices.Delete(x.txns, 0, drop)
	}
	return true
}

// LowerStable says of the transactions whose marker is at from or later that their last stable offset was at
// most stable: whoever added them did not know of an older transaction that was open.
func (x *Index) LowerStable(from, stable model.Offset) {
	for i := x.firstEndingAt(from); i < len(x.txns); i++ {
		x.txns[i].LastStable = min(x.txns[i].LastStable, stable)
	}
}

// Len is the number of transactions in the index.
func (x *Index) Len() int { return len(x.txns) }

// All returns a copy of the index in the order of the markers.
func (x *Index) All() []AbortedTxn { return slices.Clone(x.txns) }

// firstEndingAt is the position of the first transaction whose marker is at off or later.
func (x *Index) firstEndingAt(off model.Offset) int {
	return sort.Search(len(x.txns), func(i int) bool { return x.txns[i].LastOffset >= off })
}
