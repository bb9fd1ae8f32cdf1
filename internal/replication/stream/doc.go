// Package stream carries the messages of package replication between brokers, over a link from each follower broker to each leader
// broker that it follows. It decides nothing: what to send and what to make of it is the business of the partitions' cores, and of the
// shells around them, which this package knows as Leading and Following.
//
//	leader broker                                               follower broker
//	Leading  <- Next, Ack, Grant -  Sender  == link ==  Receiver  - Answer, Batches -> Following
//	         --- Lane.Wake ------>                                <- Route.Wake, Subscribe ---
//
// A Sender serves one follower broker, a Receiver one leader broker. Neither has a goroutine of its own: frames are delivered by the link's
// reader, and what there is to send is asked for by the link's writer, when it is ready to write. So whatever became ready during one
// write shares the next, with the acknowledgements, credits and watermarks of many partitions in one frame each.
//
// # Fairness
//
// Partitions that have something to send stand in a queue, each at most once. One that is served gets at most a quantum of bytes and goes
// to the back. How much may be on its way is the credit that its follower gave it, which the core keeps. What is not in memory
// any more is read by ColdReads, a few readers for all of a broker's links, at most coldPerLink reads for one link, and what they found is sent
// a quantum at a time: a follower that is far behind costs those beside it nothing but its share of the line.
//
// # Order
//
// Everything that a core says to one follower is asked for by one goroutine, the link's writer, and answers to Subscribe are found there too.
// So Accepted is sent before the first batch of its subscription, and messages leave in the order in which the core made them, but for
// watermarks, which only grow and may be overtaken.
//
// # Invariants
//   - E2: any bytes in a frame are messages, or end the link with a reason.
//   - E5, R1: a follower subscribes as the node that its link has proved to be, and no other.
//   - LinkLost reaches each partition that was subscribed over a link exactly once when the link has ended, and nothing of that link after it. A
//     follower's new link is used only when its old one has been lost in this sense.
//
// The bytes are described in docs/format/replication-protocol.md.
//
// # Concurrency
//
// Lane, Route, Senders, Receiver and ColdReads may be used from any goroutine. Lane.Wake, Route.Wake and Route.Subscribe never block, and
// should be called without a lock. Each type has one mutex, which is never held across a call of a Leading, a Following or a link.
package stream
