// Package compact decides what compaction leaves of a log (cleanup.policy=compact): of every key the latest record, and what
// readers and producers need beside it. It sees batches and says what stays of them; package wal reads and writes.
//
// One round goes over a log twice:
//
//	plan.go    Look: which segments are due, from their sizes and ages; Groups: which of them become one
//	survey.go  Survey walks the part that no round has seen yet, and notes the latest offset of each key (keys.go)
//	pass.go    Pass walks all of it from the log's start, and answers for each batch what stays
//	txns.go    which transactions a batch or marker belongs to, in both
//
// What stays:
//   - a record that is the latest of its key, or that lies where the survey did not reach;
//   - a tombstone, until its batch's delete horizon: the first round that keeps one stamps the time up to which
//     it will be kept (KIP-534), so that a reader that is slower than a round still sees the deletion;
//   - no record of an aborted transaction. A marker stays until nothing of its transaction is left, and then until its own
//     delete horizon, so that no reader meets records whose end is gone (T2);
//   - the header of a batch, even with no record in it, that a producer's state is made of (T1), or that ends a
//     segment: so a segment ends where its last batch does, and offsets are missing between batches only;
//   - a batch whose records nobody can read, as it is: nothing is dropped that was not understood.
//
// A batch that loses records keeps base offset, last offset, leader epoch, producer and sequence. One that loses
// nothing stays as it is, byte for byte (L4).
//
// The package does no I/O, reads no clock and starts no goroutine. Nothing in it is safe for concurrent use.
package compact
