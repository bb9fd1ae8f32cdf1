// Package assign decides which member of a group of the new protocol (KIP-848) is to have which partitions: pure functions of the
// members, their subscriptions, and what they were to have so far.
//
//	partitions.go     Partitions, a sorted set of partitions, and its operations
//	assign.go         Group, Member, and the assignors by name
//	range.go          Range: the same partitions of all topics to the same member
//	uniform.go        Uniform: as few moves as balance allows, for members that subscribe to the same topics
//	heterogeneous.go  the same for members that do not
//	simple.go         Simple: partitions are shared, for share groups (KIP-932)
//
// Invariants, of each assignor:
//   - A partition that some member is subscribed to has one owner, of Simple one at least, and it is subscribed to its topic (G2).
//   - Uniform: with the same subscriptions members differ by one partition at most, and no more moves than that takes. With
//     different ones no move from one subscriber of a topic to another would make the two more even.
//   - Range: of each topic, its subscribers' shares differ by one partition at most. Members that subscribe to topics of as many
//     partitions have the same partitions of each.
//   - Simple: with the same subscriptions all partitions have the same number of members, the least with which each member has one, and
//     members differ by one partition at most. With different ones that holds for each topic.
//   - The same group leads to the same assignment.
//
// Racks are not looked at: Kafka's assignors stopped doing so in 4.0. That a change of racks leads to a new assignment is for the caller.
package assign
