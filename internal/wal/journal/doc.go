// Package journal is a device's shared journal: two files in which the groups of many logs become durable with one
// write and one sync. It knows bytes, files and positions; what a log is, and when the log's own file has been
// synced, is its caller's business (package wal).
//
// # How it works
//
// The journal is two halves, files of a fixed size, zeroed and synced before they are used, so that a sync of
// a record changes no metadata. They are filled in turn. Each filling is a lap, with a generation one higher
// than the last and a secret of its own, and begins with a synced header. A record holds byte ranges that were written to
// segments and are not synced there. When a half is full, the other one is next, if it is free: if all
// that the half holds has been synced where it belongs. Else there is no room, and the caller syncs the
// segments instead. Nothing ever waits for room.
//
// # Invariants
//
//   - Records begin at page boundaries, and one is in flight at a time: a torn one damages no other (L1).
//   - A record counts only with its lap's generation and secret in its checksum and the next sequence
//     number. So what an older lap has left behind, or what a client has put into a record's value, never passes.
//   - Halves are begun strictly in turn, so that what cancels a record (Void) outlives it (L3).
//   - After a write or sync that failed, nothing is added any more (D3). What is there stays.
//
// # Concurrency
//
// All methods may be called from any goroutine. Add and Void wait for each other; nothing else waits for I/O.
package journal
