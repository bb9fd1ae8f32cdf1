// Package sharepartition decides who of a share group's members is given which records of one partition (KIP-932). It runs where
// the partition is led, for as long as it is led in one epoch.
//
//	partition.go     Partition: made from what the coordinator of __share_group_state knows, and what may be asked of it
//	runs.go          the records in flight, as runs of neighbours with one fate
//	acquire.go       what a member is given of what was read
//	throttle.go      records that fail again and again are given in ever smaller parts
//	log.go           what of a read is no record for anybody: aborted, control records, what compaction has taken
//	acknowledge.go   accept, release, reject, renew; members that go; locks that expire
//	write.go         what is to be written, one write at a time
//	reset.go         share.auto.offset.reset
//
// From Start up to Next each record is in flight: available, acquired by a member until its lock expires, acknowledged, or archived. What is below Start
// is done with, what is above Next was never given to anybody. Kafka keeps the same as a map of fetched batches, some of them exploded
// into a map of offsets; here it is one list of runs, which are split where fates part and joined where they meet.
//
// Whoever calls reads the log from NextFetch on, gives what was read to Acquire, sends what it returns, writes what NextWrite returns
// to the coordinator, again and again until it is answered, and says so with Written. One write is on its way at a time, and says
// all that has happened since the last one, so that writes neither overtake each other nor cost one call per acknowledgement.
//
// Invariants:
//   - A record is acquired by one member at a time, until its lock expires, it is acknowledged, or the member goes.
//   - A record whose acknowledgement was answered without an error is never given to anybody again, in this epoch or, being
//     written, in a later one. An acknowledgement that was answered with one may have been written.
//   - Start only grows while one leader lasts, and the next one begins where it was last written, or later. Nobody is given a
//     record before the first Start is written: where latest is does not depend on who leads.
//   - A record that is acquired for the last time that it may be is acquired alone, so that it takes no others with it.
//   - Each acknowledgement is answered once.
//
// It stands beside fetchsession rather than with the coordinators, because it is no machine over a log: its shell is that of Fetch, its
// time is that of a leader epoch, and what outlives that is in coordinator/share, whose states and errors it uses.
//
// Who calls owns the turn: the package has no lock, starts no goroutine and reads no clock. Replies are called within the methods and must
// not call the Partition.
package sharepartition
