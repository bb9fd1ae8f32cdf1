// Package exactlyonce has real clients read, process and write in transactions while processes of both sides are killed at random: three servers on the
// loopback interface, two processors of one consumer group, each a process of its own, and a feed of numbered records.
//
// In the end each input record is in the output exactly once, in the order of its partition (T1-T4); the group's committed offsets, read all the time,
// never went back (G1); and no transaction outlives its timeout: the last stable offset is the high watermark.
//
// The processors are franz-go (this test's own program, started again), Kafka's Java client and librdkafka.
package exactlyonce
