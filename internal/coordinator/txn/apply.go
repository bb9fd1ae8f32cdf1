package txn

import (
	"fmt"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// Apply changes what is replicated as the record at an offset says. An error ends the machine: what comes after cannot be applied.
// Markers say nothing here: no transaction has written to this topic.
func (m *Machine) Apply(off model.Offset, e shard.Entry) error {
	m.end = off + 1
	if e.Marker != nil {
		return nil
	}
	r, ok := e.Record.(*schema.TransactionLog)
	switch {
	case !ok || e.Producer != model.NoProducer:
		return fmt.Errorf("%w: %T, producer %d", errForeign, e.Record, e.Producer)
	case r.Value == nil:
		m.txns.Delete(off, r.Key.TransactionalID)
		return nil
	case r.Value.Status < schema.TxnEmpty || r.Value.Status > schema.TxnCompleteAbort:
		return fmt.Errorf("%w: %s is %d", errStatus, r.Key.TransactionalID, r.Value.Status)
	}
	m.txns.Put(off, r.Key.TransactionalID, &txn{*r.Value, off})
	return nil
}

// Settle says that what was applied below the watermark is safe.
func (m *Machine) Settle(watermark model.Offset) { m.log.Settle(watermark) }

// Revert says that the log has refused what was applied from an offset on.
func (m *Machine) Revert(from model.Offset) {
	m.log.Revert(from)
	m.end = min(m.end, from)
}
