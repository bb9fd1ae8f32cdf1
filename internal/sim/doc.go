// Package sim runs a whole cluster on one goroutine: the real cores of metadata, controller, Raft and replication, and the
// real log over a disk that loses power. Time is a heap of events, the network is a set of delays, a sync is an event like any
// other, and all that is left to chance is drawn from one seed. The same seed is the same run, byte for byte.
//
// A schedule is a workload and a series of faults, then a time to heal, then the question whether the cluster makes
// progress and has kept its word. After each event the invariants that can be told at that moment are checked; they have the
// names of the design (D1, R3, ...).
//
// # Parts
//
//	heap.go, world.go, trace.go  virtual time, the loop, what is printed of a failure
//	network.go, disk.go          what lies between nodes, and below them
//	node.go, links.go,
//	committer.go                 a broker: its process, its connections, its logs, how they come to the disk
//	control.go                   what it tells the controller
//	replica*.go, quorum.go       the thin shells around the cores of replication and of the metadata, as events
//	authority.go                 the active controller
//	producer.go, consumer.go     the workload
//	seat.go, seat_load.go        a coordinator: what runs a shard on the replica that leads, as events
//	seat_ask.go, groups.go       requests to it, and what has been promised of offsets
//	seat_migrate.go              groups that change their protocol
//	asker.go, member*.go         its clients: who commits offsets, and members of groups of both protocols, and of groups that change theirs
//	seat_txn.go, carrier.go      a coordinator of transactions, and what carries its markers
//	transact.go, deposit.go      where transactions write: who asks whether a partition is of one, and what a marker does there
//	till.go, trader*.go          the clients of transactions
//	shelves.go                   where they write, and what is deleted meanwhile
//	market.go                    those that are members of a group, and read, process and write
//	trades*.go, span.go          what is known of them, what has been promised, and what each log must say of them
//	auditor.go                   linearizable reads of the metadata
//	faults*.go, admin.go         what goes wrong, and what operators do, and how often
//	damage.go                    disks that are lost or rot, and whose may be
//	grow.go                      a node alone, with its data, to which others are added
//	shadow.go, check.go          what logs must hold, what was promised, and what is looked at after each event
//	relaxed.go                   topics whose appends complete before they are synced, and what they may lose
//	final.go                     what must be so when all has healed
//	bugs.go                      rules that can be broken on purpose
//	broken_test.go               rules that are broken on purpose, each of which must be found
//
// # Rules
//
// Nothing here reads a clock, lets a goroutine run beside another, or lets the order of a map decide. A message is a value: who sends it does not
// change it any more.
package sim
