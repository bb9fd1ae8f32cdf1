// Package sharing serves the partitions that this broker leads to share groups (KIP-932). It is the shell around sharepartition, which decides
// who is given which records, and sharesession, which knows what each member fetches.
//
//	sharing.go       Shares: which share partitions there are; sessions
//	follow.go        the metadata: share partitions end with leader epochs
//	turn.go          led, a share partition: an inbox and a turn
//	load.go          its state is read from its coordinator, what changes is written there
//	fetch.go         a ShareFetch: looks, waits, and looks again
//	take.go          what one look at a partition gives: the log is read, records are acquired
//	acknowledge.go   acknowledgements, and members that go
//
// # One turn, no lock held
//
// A share partition has an inbox under a mutex of its own, and a turn. Whoever puts something into the inbox of an idle one has its turn and works until
// the inbox is empty: a member that fetches reads the log itself, and acknowledgements that come meanwhile wait in the inbox. What coordinators answer,
// the metadata and the timer tell is worked off by a goroutine. Nothing is locked while the log is read or a write is sent.
//
// # Memory
//
// Records that are given to members are in memory until their answer has left: members are given few at a time, and of a batch that was read others may have
// had a part. They count against a budget of the broker's (E2): who finds it used up waits.
//
// Invariants:
//   - A share partition is of one leader epoch: it reads the log and writes its state in that epoch or not at all.
//   - Nobody is given records before the state is loaded. While it cannot be loaded, members wait as for records that are not there yet.
//   - Each acknowledgement is answered once: nil means that it is written.
//   - What a member has acquired here is released when its session ends, whoever ends it.
//   - What is kept of a group's partitions goes with its last session.
package sharing
