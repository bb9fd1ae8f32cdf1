// Package powercut cuts the power of a whole broker, again and again, under real clients, and audits what the
// broker promised them.
//
// One seed is one story: a disk (vfs/crashfs), a network in memory (memnet), a node on them, two producers, a
// consumer, a watcher of offsets, and somebody who creates and deletes topics, deletes records and changes
// configurations. The node's lives end at the n-th operation that changes the disk, n drawn from the seed: in
// the middle of work, while it starts, while it recovers from the cut before, while it stops. What was not synced
// is lost, kept or torn at random. The clients go on by themselves. In the end everything that was acknowledged must
// be there (D2, D6, L1, L5, T1, R5, M1).
//
// The seed fixes the plan, not the scheduler: the same seed can meet another interleaving. A failure prints the
// command that tells its story again; with -count it is told several times.
//
// A test that cannot fail proves nothing: the same stories over a disk whose Sync lies must be caught, and that is
// a standing test here.
package powercut
