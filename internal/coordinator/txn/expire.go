package txn

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// mostLooked is how many IDs one decision of a sweep looks at: requests wait meanwhile.
const mostLooked = 5000

// expire deletes IDs that nobody has used for long and that have no transaction: a part of all, the others at once after this, then
// all of them again after a while. A tombstone that the log refuses is for the next round.
func (m *Machine) expire(now time.Time) shard.Result {
	d := m.decide(now)
	if len(m.sweep) == 0 {
		m.sweep = m.ids()
	}
	for n := 0; len(m.sweep) > 0 && n < mostLooked && len(d.out.Records) < mostRecords; n++ {
		id := m.sweep[0]
		m.sweep = m.sweep[1:]
		t, ok := m.txns.Get(id)
		if !ok || t.Status == schema.TxnOngoing || ending(t.Status) || t.LastUpdateTimestamp > d.nowMs()-m.Config.Expiration.Milliseconds() {
			continue
		}
		d.out.Records = append(d.out.Records, &schema.TransactionLog{Key: schema.TransactionKey{TransactionalID: id}})
		delete(m.soft, id)
	}
	next := now
	if len(m.sweep) == 0 {
		m.sweep, next = nil, now.Add(m.Config.SweepEvery)
	}
	d.timer(shard.TimerKey{Kind: SweepTimer}, next)
	return d.done()
}
