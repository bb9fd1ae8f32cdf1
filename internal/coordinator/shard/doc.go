// Package shard keeps what a coordinator remembers and the log that it is written in one thing. A Shard is one partition of a
// coordinator's topic, in the leader epoch in which it was loaded; a Machine is what is coordinated: groups, transactions, shares.
//
//	machine.go   Machine, and what it decides: Result
//	load.go      replay of the log
//	shard.go     requests and images in, replies out
//	batch.go     what is decided gathers in batches; what the log says of them
//	timers.go    one heap
//
// A request is a function that decides: it looks at the machine's newest state and returns records and a reply. The records are applied
// at once, at the offsets that they will have, and gather in a batch; the reply waits until its records are settled. So a decision
// sees what was decided before, and nobody hears of it before it is safe. What a decision wants done elsewhere (Effects) waits likewise.
//
// Invariants:
//   - Every request is answered once, by its decision's reply or by its refusal: nil when what the reply depends on is below the
//     watermark, else an error. Replies that wait for the same offset leave in the order of their decisions (G1, T3).
//   - An effect is done once, when what it depends on is below the watermark, and not if that is taken back (T3).
//   - A batch of a producer's transaction holds one result, as a marker does, and who is refused for it is that producer alone (E2).
//   - Memory is what the log says up to End: what the log refuses is taken back with all that was decided after it; when the log has
//     lost what it accepted, or has it elsewhere, the shard ends.
//   - What the log holds is loaded whole or not at all, but for records of types that only newer brokers know (D4).
//   - Nothing expires by a wall clock that has leapt (E4).
//   - The same inputs lead to the same outputs.
//
// Who calls owns the turn: the package has no lock, starts no goroutine, reads no clock. Replies and refusals are called within the
// methods, and must neither block nor call the shard.
package shard
