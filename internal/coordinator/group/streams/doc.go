// Package streams is what only streams groups have (KIP-1071): the topology of an application, the topics that it needs, and which
// member runs which task. Membership, epochs and offsets are as in other groups, and are the group machine's.
//
//	topology.go      Validate: what no topology may be
//	reads.go         Reader, Topics: what a topology reads and needs; SameTopology
//	configure.go     Configure: a topology held against the cluster's topics: how many tasks, which topics are missing
//	partitions.go    how many partitions internal topics get
//	assign.go        Assign: tasks to members, sticky, active and standby
//	process.go       members that share a process
//	reconcile.go     Reconcile: how a member gets from what it has to what it is to have
//	held.go          what a member has, as it is written
//
// A topology has subtopologies; a subtopology has one task per partition of its sources: topics of others, and repartition topics that
// subtopologies write for each other. What a stateful subtopology knows is in changelog topics, which let a standby task follow.
//
// Invariants:
//   - All are functions: the same topology, topics and members lead to the same result, in whatever order they come.
//   - Each task is active on one member. A process has a task once, active or standby, as both would share its state directory.
//   - A member keeps a task that it had as far as the balance lets it; who has it as a standby is next.
package streams
