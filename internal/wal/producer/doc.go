// Package producer is a partition's memory of its idempotent and transactional producers (KIP-98,
// KIP-360, KIP-890): it decides whether a batch is new, a retry, out of order or fenced, and it knows
// which transactions are open.
//
// The life of a batch, all under the log's mutex:
//
//	verdict, err := s.Check(&b, origin) // decides, changes nothing
//	s.Apply(&b)                         // when the batch is queued, so that pipelined batches chain (T1)
//	s.Settle(durableEnd)                // once the batch is on disk: it will not be taken back
//	s.Revert(from)                      // or: its group failed, everything from this offset on never was
//
// Markers go through CheckMarker and ApplyMarker. A retry whose original is queued but not yet durable is
// reported as a duplicate; its answer must wait until the original is durable (T1).
//
// Invariants:
//   - the state is a function of the batches applied, in offset order, but for SeenMs and for producers
//     that expired; so it can be rebuilt from the log (L6);
//   - Revert restores exactly the state before the first batch at or above its offset;
//   - sequences within one epoch of a producer are consecutive, from 0, wrapping after 2^31-1.
//
// Memory is flat: one slot of fixed size per producer, no pointers in it; the undo log reuses its space,
// so that a batch of a known producer allocates nothing. A State that never saw a producer holds nothing
// but itself.
//
// The package does no I/O, reads no clock and starts no goroutine. A State is not safe for concurrent
// use: the log guards it with its own mutex.
package producer
