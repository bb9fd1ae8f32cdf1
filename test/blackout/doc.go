// Package blackout cuts the power of whole clusters: three nodes in virtual time, on disks that keep what was synced and any part of the
// rest, under real clients that write and read all the time. A story, told by its seed, takes the power of one node, of two or of all, each at
// any operation on its disk, also while it starts or stops; nodes are cut off and stop in order in between. At the end all run again, everything is read, and
// what the clients saw is judged: nothing that a majority of min.insync.replicas acknowledged is lost, doubled, reordered or changed
// (D1, D2, L1, L2, M1, R1 to R5, T1; see internal/verify).
//
// The seed fixes the story, not the interleaving of goroutines: a seed that failed is told several times.
package blackout
