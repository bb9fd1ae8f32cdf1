// Package testcluster runs several whole nodes in one process, for tests in testing/synctest bubbles: real goroutines, real clients (franz-go), virtual
// time, a network in memory (memnet) and disks that forget what was not synced (crashfs). It finds what the simulator of the cores cannot: wiring,
// lost wakeups, leaks, timeouts that do not fit together.
//
// A node is host n1, n2 and so on; clients are on the host "client". Kill is a power cut: the network to the node is gone, then its disk
// is what a power cut leaves.
package testcluster
