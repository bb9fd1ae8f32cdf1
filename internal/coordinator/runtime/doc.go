// Package runtime is the shell around the shards of one coordinator's topic: who leads a partition of it coordinates what hashes to that partition.
// It knows which partitions these are, loads their shards, has them decide what is asked, and moves bytes between them and their logs.
//
//	coordinator.go   Coordinator: Ask, Each; which seat a key belongs to
//	leadership.go    the metadata: seats begin and end with leader epochs (G3)
//	seat.go          one partition in one leader epoch: an inbox and a turn
//	source.go        where an effect comes from
//	turn.go          what who has the turn does: decide, append
//	settle.go        what the log says of a batch; a caller that commits it
//	crew.go          who has the turn when nobody asked
//	timers.go        one alarm
//	load.go, read.go a seat waits until all that there is to load is safe, and reads it
//	gate.go          how many load at a time
//
// # One turn, no lock held
//
// A seat has an inbox under a mutex of its own. Whoever puts something into the inbox of an idle seat has its turn, and works until the inbox is
// empty: decides, gathers, appends. A caller of Ask does so itself, but not for others for long; what the log, the metadata and the timer tell is
// worked off by the crew, so that none of them waits for a decision. A caller of Wait may commit what it has appended, after the turn. Nothing is locked while a machine decides or the log is called. Replies
// leave within the turn, and must not block.
//
// # Epochs
//
// A seat is of one leader epoch. It is loaded when the replica leads in that epoch and its watermark has come to the end of its log: nobody else
// appends, so then all that any coordinator has answered is there, and nothing else will ever be. What it appends is refused in every other epoch,
// and what it answers without an append is held against the replica's leadership first (G1, G3). When memory and log part, a new seat takes its
// place and loads. What the metadata have ended comes back with another epoch only.
//
// Invariants:
//   - Each request is decided or refused, once.
//   - A seat that was loaded in one epoch neither appends nor answers from memory in another (G3).
//   - Each change of the metadata since the image that a machine was loaded with reaches it, once, in order.
package runtime
