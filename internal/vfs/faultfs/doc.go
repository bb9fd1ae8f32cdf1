// Package faultfs makes any vfs.FS fail, on demand: with an I/O error at the n-th sync of a segment, with a disk that is full
// after so many bytes and has space again when something is removed, with a call that hangs until the test lets it go.
//
// Two things can be asked for, at any time while the file system is in use:
//   - Inject adds a Rule: which calls, how many of them to let pass and how many to hit, and what then happens;
//   - LimitSpace makes the disk, or a quota on it, full after some more bytes. Space is counted by blocks of 4 KiB that
//     have been written to, so that holes are free, as on a disk; an open file holds its blocks until its last Close.
//
// What a fault does is what a kernel does: a write that fails may have written a first part; a close that fails has closed
// the file; a sync that fails leaves it open what is on the disk, for good. Over crashfs the last is played to
// the end: bytes that a failed sync dropped are not saved by a later one that succeeds (D3).
//
// # Concurrency
// Everything may be called from any goroutine. Rules are matched and counted under a lock, so each hit is counted once;
// Rule.Before runs without one.
//
// Files of this package have no descriptor (vfs.FDer), so that no byte passes around the rules.
package faultfs
