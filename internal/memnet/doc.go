// Package memnet is a network in memory, for tests: listeners by address, dialers, and connections that behave like TCP's where
// code can tell. Writes are buffered and block when the peer does not read (unlike net.Pipe, where each write meets a
// read), deadlines work, each direction can be closed by itself, and a listener's backlog is finite.
//
// Faults are asked for, never random: Conn.Cut breaks a connection as a lost host does, Network.Partition and Heal separate and
// join hosts, Network.SetDelay makes bytes take their time.
//
// # Concurrency
//
// Everything may be called from any goroutine. Waiting is done on channels and timers only, so that in a testing/synctest bubble all
// of it is durably blocked and time is virtual.
package memnet
