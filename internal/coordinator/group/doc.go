// Package group is the machine of __consumer_offsets: committed offsets, groups of the classic protocol (eager and cooperative,
// dynamic and static members: KIP-345, KIP-394, KIP-814), groups of the new one (KIP-848, KIP-1251), with members of both, share
// groups (KIP-932), and groups of Kafka Streams (KIP-1071). It decides requests into records and replies, and changes what is
// replicated only by applying records.
//
//	requests.go            what is asked and answered
//	machine.go, apply.go   Machine; records
//	decision.go            what a decision collects: records, answers, timers
//	offsets*.go            commit, also in a transaction, fetch, delete; expiry; topics that are gone
//	classic.go             a group in memory: states, members, who waits
//	classic_*.go           join, rebalance, sync, heartbeat, leave, timers; what is written and loaded
//	consumer.go            a group of the new protocol: epochs, members, what each is to have (target) and has (current), sessions
//	consumer_step.go       a decision about one, as its own records will make it; _topics, _regex, _reconcile are parts of it
//	consumer_heartbeat.go  joining, staying; _leave: leaving, fencing; _session: timers, what the log has refused
//	consumer_classic.go    classic members of such a group; _migrate: from one kind of group to the other; _protocol: their bytes
//	consumer_apply.go      records to state, _record: state to records, _roster: what follows from it
//	share.go               a share group: it is a group of the new protocol, and reads partitions, which begin and are forgotten elsewhere
//	share_heartbeat.go     its members; _call: what is asked for elsewhere; _offsets: what admins ask for; _record: records
//	streams.go             a streams group: epochs, topology, members, their tasks, who has which
//	streams_step.go        a decision about one, as its own records will make it; _answer: what the member is told
//	streams_heartbeat.go   joining, staying; _leave: leaving, timers, what the log has refused; _offsets: whose commits count
//	streams_apply.go       records to state, _record: state to records, _describe: what clients see
//	own.go                 what groups have values of their own for (resource type GROUP)
//	admin.go, _describe    describe, list and delete groups
//	census.go              how many there are, for metrics
//	assign/                who is to have which partitions
//	streams/               topologies, their topics and tasks, and who runs which
//
// What is replicated: offsets, and of each classic group its last generation with an assignment, or that it is empty. What is not:
// who waits for a rebalance, sessions, members that were given an ID and have not come back. That is gone with the machine; members
// that were loaded get a whole session.
//
// Invariants:
//   - A generation's assignment is in the newest view from its leader's SyncGroup on, and reaches nobody before its record is settled:
//     the answers wait for the record, and those that come later for the last write to their group (shard.Result.Sees). If the log
//     refuses the record, the group rebalances (G2).
//   - A partition has one owner per generation as far as the leader's assignment says so; who is not of the generation is told so by
//     every answer and commits nothing (G2).
//   - Of the new protocol: a partition is in one member's current assignment, or among what that one is to give up, until the member has said
//     that it has let go, or is gone; only then it is another one's (G2). Epochs of a group only grow as long as it has members or a
//     record, whatever its kind. The same is true of active tasks, and of all tasks of a process, which share its state directory.
//   - A group that changes its kind does so in one batch. Its classic members have what they may have of the last generation, and of
//     what they said when they joined last, until they join again (G2).
//   - Members of a share group have partitions that have begun for it, and no others. A partition begins in a later epoch with each attempt, so
//     that of two that are on their way the later one counts.
//   - Offsets that readers see are settled (G1).
//   - What a transaction commits is beside that until its marker, which moves what is newer than what is there, or drops it (T3).
//   - The same requests at the same times lead to the same records and answers: members are kept in the order of their joining, and
//     what else is walked is sorted.
//
// Who calls owns the turn: the package has no lock, starts no goroutine, reads no clock, and makes up no IDs. Requests are the machine's
// from the call on: what they hold must not be used again.
package group
