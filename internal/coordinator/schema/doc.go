// Package schema is the records of the coordinators' topics, __consumer_offsets, __transaction_state and __share_group_state, as
// Apache Kafka 4.3.1 reads and writes them, and which partition of its topic a group, a transactional ID or a share
// partition belongs to.
//
// A key begins with an int16 that is the record's type within its topic, and a value with one that is the value's version. A
// Record is a Rec of one key type and one value type, so that a switch over Go types tells records apart and no
// key goes with another's value. A record without a value is a tombstone: it deletes what has its key.
//
//	Groups, Transactions, Shares     the topics: Decode, and the partition of a key
//	record.go, table.go              records and their types
//	groups.go, consumer.go,
//	share.go, streams.go             what is in them
//	classic.go                       what is older: values with several versions
//	coder.go                         Kafka's encoding, one description of a message for both directions
//
// Invariants:
//   - What Kafka 4.3.1 has written is read, in all versions; what is written has the version that it writes.
//   - A type that is not known is ErrUnknownType and for the caller to count and skip: a newer broker has written it. What is known
//     and cannot be read is ErrCorrupt, which must not be skipped: half a memory must not coordinate (D4).
//   - A key is one sequence of bytes: what follows it makes it corrupt, as compaction would take it for another key. After a value
//     more may follow. Tagged fields that are not known are kept.
//   - Nothing decoded refers to the bytes that it came from.
//
// The package does no I/O and keeps no state. All of it may be used from any goroutine.
package schema
