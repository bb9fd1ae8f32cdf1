// Package share is the machine of __share_group_state (KIP-932): for each partition that a share group reads, where the group
// has come to and the fate of each record from there on. The leaders of the partitions read it when they begin to serve a group, and write what members
// acknowledge; the group's coordinator initializes and deletes it. Members and assignments are not here, but in __consumer_offsets.
//
//	requests.go             what is asked and answered
//	machine.go, apply.go    Machine; records
//	decide.go               initialize, read, write, summarize, delete
//	batches.go              ranges of offsets, and how two lists of them become one
//	upkeep.go               what is deleted with its topic, and what the log is to be rid of
//
// A share partition has a snapshot in the log and the updates after it. Each share.coordinator.snapshot.update.records.per.snapshot updates a
// snapshot follows, and what is before the oldest snapshot that counts (Needed) is for the shell to delete: the topic is not compacted.
//
// Invariants:
//   - State is a function of the records from Needed on, whatever of those before is still there. Updates whose snapshot is gone
//     are of a partition that has another one later, or was deleted.
//   - Of what a leader of one epoch has read, nothing is changed by leaders of earlier ones: Read notes the epoch, and what comes
//     with a smaller one is refused, as with a smaller state epoch, which grows when offsets are altered.
//   - The start offset grows, but for Initialize. Of two fates of a record the one with more deliveries counts, and of those the more
//     final one: writes that arrive twice or late change nothing (an acknowledged record stays acknowledged).
//   - The same requests at the same times lead to the same records and answers.
//
// Who calls owns the turn: the package has no lock, starts no goroutine and reads no clock.
package share
