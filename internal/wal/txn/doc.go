// Package txn is a partition's index of aborted transactions (KIP-98).
//
// A read_committed fetch returns the batches verbatim and tells the client beside them which
// transactions in the range were aborted, so that it can drop their records (T2). The index answers
// that question without reading the log. It can be rebuilt from the log's abort markers (L6).
//
// Invariants: entries are in the order of their markers, so LastOffset increases strictly, and
// LastStable never decreases. The second is what lets a search stop: an entry whose LastStable is at or
// above the end of the range had no open transaction below that end when its marker was written, and no
// transaction that ends later can reach back into the range.
//
// The package does no I/O, reads no clock and starts no goroutine. An Index is not safe for concurrent
// use: the log guards it with its own mutex. An empty Index holds no memory.
package txn
