// Package bench loads a Kafka-compatible broker and measures it, and never reports a rate that it has
// not verified: a number counts only if what was acknowledged is really there.
//
// A run has five steps: prepare the topic, note the end offsets, load (warm-up, then the measured
// window, then drain), verify, report. Three modes share them: produce, consume and round-trip.
//
// Three more modes are about coordinators: commit (offsets of groups), transact (transactional producers) and members (a
// group that one joins and leaves). They have the same steps and verify what they say: V4.
//
// Invariants:
//   - V1: each partition's end offset grew by exactly the number of acknowledged records. With acks=0
//     nothing is acknowledged, so the records sent count, looked at after a barrier record that was
//     written with acks=-1 to the same partition.
//   - V2: the acknowledged offsets of a partition are the offsets that it grew by, each once: their
//     smallest, largest, count and sum agree.
//   - V3: records read back are, byte for byte, the ones that the generator made; every payload carries
//     the run's seed, its own sequence number and a checksum.
//   - V4: the offsets fetched back are those acknowledged last, and their growth is the number of commits; a consumer that reads what is
//     committed gets every record of every committed transaction, once and in its producer's order; a group counts as stable
//     only when each partition has exactly one owner, and no partition ever has two.
//   - Latency is free of coordinated omission in the open loop: it counts from the moment at which the
//     record was due, not from the moment at which the generator came round to it.
//
// Concurrency: an Account and a Latencies belong to one client, whose callbacks run one after the other;
// they are merged after the load has ended. Only Counter is read while others write.
//
// The package doubles as a kit for drivers of other clients (test/compare): Generator, Account, Cluster,
// Verify and Meter know nothing of the client that carried the records.
package bench
