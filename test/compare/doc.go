// Command compare drives Chronik and Apache Kafka side by side and says how they relate.
//
//	go run ./test/compare                                       everything, 5 rounds
//	go run ./test/compare -scenario rdkafka-1 -rounds 3 -duration 5s
//	go run ./test/compare -list
//	go run ./test/compare -short                                Chronik alone, a few seconds each, verified
//
// A round drives the brokers one after the other with the same load; every other round in the opposite
// order. What is reported is the median of the rounds' ratios with the smallest and the largest. The machine is shared,
// so that absolute numbers are only context.
//
// Rules that hold for both brokers alike:
//   - each has its own data directory on the same real disk, and its own port on loopback;
//   - the broker that is not driven runs idle (stopping its process would expire Kafka's broker session,
//     and it would come back fenced); others that an earlier scenario needed do not run;
//   - before each run the file systems are synced, outside of the measured time, so that no broker pays for pages that the
//     other left to be written back;
//   - before the first run each takes the warm load (30 s), and each scenario has one round that is not counted;
//   - every run is verified by its driver; one that is not makes the whole comparison fail.
//
// Kafka runs as its own scripts start it (1 GiB heap, G1) with default settings but for ports, directories and the
// replication factor of internal topics: it does not sync what it acknowledges. Chronik does. "kafka-sync" is
// Kafka with log.flush.interval.messages=1, the only like-for-like.
//
// The "cluster-" scenarios drive three nodes of each, replication factor 3 and min.insync.replicas=2, all on this machine; CPU and
// memory are the sums of the three. The "raft-" ones compare Chronik with itself: what one node pays for having its metadata in Raft.
//
// All child processes are started by the main goroutine, which is bound to the main thread, with a
// parent-death signal: whatever ends this process ends them.
package main
