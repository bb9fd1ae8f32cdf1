package txn

import (
	"errors"
	"time"

	"chronik/internal/model"
)

// errAhead: a producer commits (V2) what nothing is in yet. Kafka's own client does that once in some 100,000 transactions, and all but dies of it: its I/O
// thread looks whether there are batches, and only then takes the lock under which it finds the commit, so the application may have filled a whole
// transaction in between. Under V1 it adds the partitions itself, and does so before. Told CONCURRENT_TRANSACTIONS it looks again, and sends
// its batches first; it sends nothing while it waits for an answer, so such a request is never held.
var errAhead = errors.New("the transaction that is to be committed has not begun")

// aheadTime is how long a producer may be told so. Who really commits nothing, which clients do not ask for, is told by then.
const aheadTime = time.Second

// ahead is since when a producer commits nothing.
type ahead struct {
	of    model.Offset // the state in which it does
	until time.Time
}

// ahead tells whether a producer that commits nothing may yet be ahead of itself.
func (d *decision) ahead(id string, t *txn) bool {
	s := d.m.open(id)
	if s.ahead.until.IsZero() || s.ahead.of != t.at {
		s.ahead = ahead{of: t.at, until: d.now.Add(aheadTime)}
	}
	return d.now.Before(s.ahead.until)
}
