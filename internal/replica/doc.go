// Package replica holds this broker's partitions: Replica is the shell around one partition's log, Set
// finds them and gives them life as the metadata says.
//
// # One replica
//
// A partition whose only replica is here has nothing but its log: the high watermark is the durable end of that (D1 with an ISR
// of one), and whoever waits is told by the log. Append, Read and the offset lookups take no lock of this package: they load one
// atomic pointer each for the log, the leadership and the policy.
//
// # Several replicas
//
// Then a member stands beside the log, the shell of a replication.Leader or Follower:
//
//	member.go                 inputs under the mutex, effects outside of it, in the order of the decisions
//	role.go                   which role, in which epoch, and from when on (R1, D5)
//	lead.go, waits.go         appends, and who waits for the own sync (acks=1) or for the watermark (acks=-1)
//	serve.go, tail.go         what followers' streams are sent: from memory before it is durable, else from the log
//	follow.go, receive.go     what leaders' streams bring: appended without a copy; logs that have to be cut
//	ticks.go, jobs.go         time for those that wait for it; what waits for the disk
//	deadlines.go              how long producers wait
//	deletion.go               DeleteRecords, which waits for the others
//	coordinated.go            what coordinators need beyond what clients do (G1, G3)
//	damage.go, quarantine.go  a log that is damaged is set aside when nothing counts on it, and copied anew (L2)
//	withdraw.go               a broker that is cut off from its own metadata leads nothing for clients
//	losses.go, recovered.go   what recovery cut off, remembered until the controller knows (L2)
//
// # Several data directories
//
// A partition lies in one of them: where its directory was found, or, if it is new, where the fewest are (disks.go). A directory that fails takes its
// own partitions out of use (diskfailure.go). A replica moves to another one by a copy of its log (move.go, suspend.go).
//
// Everything that is appended goes through the member, and says where the log must end (wal.Append.ExpectEnd): an append that was undone is
// known before another one takes its place, here and in the follower's log (R2).
//
// A role needs a grant: the metadata must know this incarnation of the broker (R1). Until then, and while its log is not open, a replica
// refuses its callers. An idle partition has no goroutine and no timer, be it led or followed.
//
// # Concurrency
//
// Every method may be called from any goroutine, but for Ensure, Remove and Registered, which come from the one that applies metadata; they do
// no I/O: nobody who applies metadata waits for a data disk (R8). The log's callbacks arrive on the committer's goroutines with no lock
// held, and never block. The log's mutex is taken within a member's, and nothing else within either.
package replica
