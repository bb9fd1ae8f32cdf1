// Package command defines the records of the metadata log: what they look like, how they are encoded, and that
// nothing unknown is ever read past (M3).
//
// One entry of the log is one Batch: a format version, the cluster ID, and commands that take effect together. What
// a command means is defined by image.Apply; which commands a request leads to, by controller.
//
// The Go types of command.proto and snapshot.proto are generated; `make proto` does it. Everything else is here:
// Encode and Decode, and constructors that take the types of package model.
//
// Concurrency: plain values, immutable by convention once they are in a Batch.
package command
