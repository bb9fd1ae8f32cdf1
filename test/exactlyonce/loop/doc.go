// Package loop is a program that reads, processes and writes in transactions, and what judges it: a feed of numbered records, a processor that copies them,
// a watch over what its group commits, and an audit of what it wrote. Others break things meanwhile: test/exactlyonce kills processors and servers, test/chaos
// has a network and disks to break as well.
//
// Record n of an input partition says n and is at offset n. Hence what must be true in the end, whatever happened, needs no memory: each partition of the
// output says 0, 1, 2... to those who read what is committed (T1-T3); the committed offsets never went back (G1); nothing is open (T4).
//
// A Feed, a Watch and a processor run in goroutines of their own; their methods may be called from any.
package loop
