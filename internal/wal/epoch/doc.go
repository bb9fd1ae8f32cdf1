// Package epoch remembers at which offset each leader epoch of a partition began (KIP-101, KIP-279).
//
// A follower, or a consumer after an election, asks "where did epoch E end in your log?" and cuts its
// own log, or its position, back to the answer: this is how two logs find the point where they part
// (R2). The answer must be right on every replica, so the cache is derived from the batches alone: each
// carries the epoch of the leader that appended it (L6).
//
// Invariant: epochs and start offsets both increase strictly from entry to entry.
//
// The package does no I/O, reads no clock and starts no goroutine. A Cache is not safe for concurrent
// use: the log guards it with its own mutex.
package epoch
