// Package quorum keeps the metadata log: the order in which commands change the cluster's image.
//
// Log is the interface of it. Local implements it for a cluster of one voter, over a wal.Log in data/wal/__meta;
// Raft will implement it over the same files, because from its first byte the log is a Raft log (M5): one
// record batch per entry, offset = index - 1, the batch's leader epoch = the term, the value names the
// cluster. docs/format/metadata.md has the bytes. The package also keeps meta.properties, which says whose
// data a directory holds (OpenIdentity).
//
// Invariants: an entry is synced before the image that it leads to is seen by anybody, followers and proposer
// included (M1); entries are applied in order, by one goroutine at a time; an I/O error stops the log and nothing
// advances past it (M3). What is known to have changed nothing is only refused: a decision that turns out
// impossible, an entry that is too large, a full disk (E3).
//
// Concurrency: everything may be called from any goroutine. Proposals take turns: each is decided on the image that
// the one before it led to.
package quorum
