// Package raftlink carries the messages of the metadata quorum between replicas, over links of the role raft. Transport implements quorum.Transport.
//
// Each replica that is sent to has one link, made when it is first needed, and a bounded queue in front of it. Whatever has gathered while a write was
// going on leaves with the next one. Heartbeats and votes overtake what is in the queue; the rest keeps its order, because entries that
// arrive out of order are refused and sent again. A snapshot has a link of its own, in pieces, with credit: so it holds up nobody.
//
// The first frame of a link says from which replica to which: a node whose directory was replaced is another replica, and what is meant for the one before it
// is refused. It also says where the sender listens, so that a replica which is yet to learn who takes part can answer. docs/format/peer-protocol.md has the bytes.
//
// # Invariants
//
//   - Send and SendSnapshot never wait. What finds no room, or no link, is lost, and the quorum is told (Receiver.Unreachable), from another goroutine.
//   - R8: what is large holds up no heartbeat for longer than one write.
//   - M1: a message is given to the replica that it was made for, or to none. Senders are what their link has proved to be, and not what they
//     claim. Whether they take part is for Raft to say: who is behind in the log may know of a leader as one that has left, and must hear it.
//   - E2: frames that make no sense end their link. A queue, a snapshot, and the number of snapshots at a time have a bound.
//
// # Concurrency
//
// Everything may be called from any goroutine. Time is package time's.
package raftlink
