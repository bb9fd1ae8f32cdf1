// Package replica holds this broker's partitions: Replica is the shell around one partition's log, Set
// finds them and gives them life as the metadata says.
//
// Today a partition has one replica, which leads it: the high watermark is the durable end of its log
// (D1 with an ISR of one). The decisions of leaders and followers will stand beside this shell as pure
// state machines; what callers see (Append, Read, offsets, the watermark) is already their interface.
//
// Concurrency: every method may be called from any goroutine. Append, Read and the offset lookups take
// no lock of this package: they load one atomic pointer each for the log, the leadership and the policy.
// Ensure and Remove do no I/O: whoever applies metadata never waits for a data disk (R8).
// The log's callbacks arrive on the committer's goroutines with no lock held, and never block.
package replica
