// Package txn is the machine of __transaction_state: it knows each transactional ID's producer, and coordinates its transactions
// (KIP-98, KIP-360, KIP-890 in both versions of the protocol).
//
//	requests.go            what is asked and answered, and what is to be done elsewhere: Markers, NeedProducerID
//	machine.go, apply.go   Machine; records
//	decision.go            what a decision collects
//	transition.go          one state of a transactional ID from the one before
//	init.go                a producer gets its ID and epoch, who had them before is fenced
//	add.go                 partitions of a transaction, and their verification
//	end.go                 commit and abort, asked for or at the timeout
//	ahead.go               a commit that comes before what it is to commit
//	complete.go            markers that are written end the transaction
//	hold.go                requests that wait for that
//	expire.go, admin.go    IDs that nobody uses; describe and list
//	census.go              how many IDs there are, for metrics
//
// All that is decided is in the records, one per transactional ID, but for what a new coordinator can do without: which markers are
// written already (all are sent again), the monotonic deadline (it is set anew from the start time), and under the first version of the
// protocol the epoch that an InitProducerId with an epoch has replaced (its retry is then fenced, as Kafka's is).
//
// Invariants:
//   - A transaction commits or aborts: it leaves Ongoing by one PREPARE, and what that says is what its markers and its COMPLETE say (T3).
//   - Markers are an effect of PREPARE's record, so that none is sent before it is settled. A machine that was loaded sends those of
//     each PREPARE that it finds. COMPLETE is decided when each partition has its marker, or is gone (T3).
//   - What is Ongoing has a timer until it is not. What the log refuses is tried again (T4).
//   - Epochs of a producer ID only grow, but for what the log has refused, which nobody has heard of. Who comes with an older one is
//     refused, and ends nothing.
//   - The highest epoch is for fencing only: a producer that would have to work with it gets another ID.
//   - Who has what was given out last is not fenced, also while the markers are being written of the end that it was given with.
//   - Who is held while a transaction is being ended is decided with its COMPLETE, or when its time is over, or refused by End: once.
//
// Kafka refuses every request with CONCURRENT_TRANSACTIONS while an earlier one about the same ID is being written. Here a decision sees
// what was decided before, and its answer waits until that is settled. Who meets a transaction whose markers are being written may wait for them, too.
//
// Who calls owns the turn: the package has no lock, starts no goroutine, reads no clock and draws no IDs. Requests are the machine's
// from the call on.
package txn
