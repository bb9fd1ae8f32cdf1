// Package replication decides how one partition is copied: Leader is its leader in one leader epoch, Follower is one of its
// followers. Both are pure: they are told what happened and when, and say what to do. They do no I/O, start nothing and read no clock.
//
// What they uphold, by the names of docs/INVARIANTS.md:
//   - D1, R3: the high watermark is the smallest durable end among the maximal ISR, which is the committed one and all that
//     was proposed and may still be committed. It never falls, and stands still while the committed ISR is below the effective
//     min.insync.replicas.
//   - D2: acks=-1 needs the effective min.insync.replicas when appending and when answering.
//   - D5, R1: every word between leader and follower is bound to a leader epoch, a broker epoch and a subscription. What is bound
//     to another one changes nothing.
//   - R2: a follower cuts its log to where the epochs part, before it appends, and never to a watermark (KIP-101, KIP-279).
//   - R5: a new leader knows its watermark only once it has reached the start of its epoch (KIP-207).
//   - R8: a leader whose own disk stands still hands over, if there is somebody to hand over to.
//
// "Durable" and "synced" mean what D1 means by them: for a topic with relaxed flushing, a log counts as synced what it has
// written. Nothing here knows the difference.
//
// The shell owns a mutex, calls the inputs under it, drains the outputs, and does what they say outside of it. It must report
// the present state of the log, read under that mutex, and not what a late callback carries: a sync that was begun before a
// truncation says nothing about the bytes that are there now.
//
// Whatever arrives, late, twice or in another order, does no harm. To make progress, both need LinkLost when the connection between
// them has ended, and nothing of it after that; between two links, messages arrive in order and none is missing.
//
// A leader epoch has one Leader for its whole life, made when the epoch was granted to this incarnation of the broker
// and before anything was appended in it. A partition has one Follower for as long as the broker follows, over many epochs.
//
// Concurrency: none of the types may be used from two goroutines at once.
package replication
