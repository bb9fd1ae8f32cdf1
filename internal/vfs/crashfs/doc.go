// Package crashfs is a disk in memory that can lose power at any moment, with exactly the guarantees that the comment of
// package vfs gives and not one more. Code that passes over it depends on nothing that a real disk may not do.
//
// The file system knows, besides what its users see, what the disk may hold:
//   - per file and page of 4 KiB, the synced version and the versions written since. Each 512-byte sector comes out of a
//     crash as one of them, on its own; so writes are lost, reordered and torn;
//   - per file, the synced length and the lengths since, whatever happened to the bytes;
//   - the journal of directory changes not synced yet. A crash takes part of them, in any order but for this: changes
//     of the same name happen in order, a rename happens whole or not at all (in both directories, so that the sync of either
//     makes it durable), directories move in order, and one is not gone before what was moved out of it has arrived. So no
//     synced file vanishes because of a crash between two changes; one whose own entry was never synced does.
//
// Sync makes the length durable whichever way it changed, cut or grown, as fdatasync does on Linux.
//
// Crash ends the file system and returns a disk that it may have left; CrashClone returns one and lets the file system
// live, so that one run can be cut at every step; TornClone gives exact control over the last write to a file. Locks do
// not outlive the process that held them, so a disk after a crash has none.
//
// # Reproducibility
// All choices come from the seed given to New. Used from one goroutine, the same calls give the same disks.
//
// # Concurrency
// Everything may be called from any goroutine; a crash falls before or after a call, never into it. Pages are never
// changed once they are in a file, so that versions and clones share them: taking a disk costs a copy of the pointers.
package crashfs
