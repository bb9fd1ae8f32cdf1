package txn

import (
	"time"

	"chronik/internal/coordinator/schema"
)

// Census counts what machines coordinate.
type Census struct {
	IDs    map[State]int
	Oldest time.Duration // of a transaction that is open or being ended
}

// Census adds what this machine coordinates.
func (m *Machine) Census(now time.Time, to *Census) {
	if to.IDs == nil {
		to.IDs = make(map[State]int)
	}
	for _, t := range m.txns.All() {
		to.IDs[t.Status]++
		if t.Status == schema.TxnOngoing || ending(t.Status) {
			to.Oldest = max(to.Oldest, time.Duration(now.UnixMilli()-t.StartTimestamp)*time.Millisecond)
		}
	}
}
