package txn

import (
	"slices"

	"chronik/internal/model"
)

// Retain forgets the transactions whose marker lies in [from, to), but for those for which stays is true of the marker's offset.
func (x *Index) Retain(from, to model.Offset, stays func(marker model.Offset) bool) {
	lo, hi := x.firstEndingAt(from), x.firstEndingAt(to)
	kept := lo
	for i := lo; i < hi; i++ {
		if stays(x.txns[i].LastOffset) {
			x.txns[kept] = x.txns[i]
			kept++
		}
	}
	if x.txns = slices.Delete(x.txns, kept, hi); len(x.txns) == 0 {
		x.txns = nil
	}
}
