// Package quorum keeps the metadata log: the order in which commands change the cluster's image.
//
// Log is the interface of it. Local implements it for a cluster of one voter, Raft for a quorum of several, over the same
// files in data/wal/__meta: from its first byte the log is a Raft log (M5). One record batch per entry, offset = index - 1, the
// batch's leader epoch = the term, the value names the cluster. docs/format/metadata.md has the bytes. The package also keeps
// meta.properties, which says whose data a directory holds (OpenIdentity), and decides how a node begins (Bootstrap).
//
// # Parts
//
//	local.go, propose.go, recover.go, snapshot.go   Local
//	member*.go, entries.go                          Member: etcd's Raft, driven by events; no disk, network, clock, goroutine
//	disk.go, disk_open.go, state.go, snapfile.go    Disk: what a Member must not forget
//	raft*.go                                        Raft: the goroutines around both
//	replicas.go, entry.go, reserve.go, bootstrap.go what they share, and how a node begins
//
// # Invariants
//
// An entry is synced before the image that it leads to is seen by anybody, followers and proposer included; term and vote
// before a message that relies on them leaves (M1). Entries are applied in order, and equal indexes have equal images (M2).
// An I/O error stops the log and nothing advances past it (M3). What is known to have changed nothing is only refused: a decision that
// turns out impossible, an entry that is too large, a full disk (E3), a node that is not the active controller. What is not known is
// said to be unknown (D4).
//
// # Concurrency
//
// Local and Raft may be used from any goroutine. Proposals take turns: each is decided on the image that the one before it
// led to. A Member has one user at a time. Raft's goroutine that owns it does nothing slow: saving, writing snapshots, deciding, and telling the node have
// one each, so that heartbeats go on meanwhile (R8).
//
// # Randomness
//
// Raft draws its election timeouts from crypto/rand. A simulator makes them replay with testing/cryptotest.SetGlobalRandom before
// each run, in tests that are not parallel.
package quorum
