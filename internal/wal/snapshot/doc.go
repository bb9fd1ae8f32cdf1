// Package snapshot is the envelope of the small files that keep a partition's derived state: producer
// state, leader epochs and the transaction index. It says what kind of file this is, which version of
// its format, how long it is, and whether every byte is still the one that was written.
//
// The three can be rebuilt from the log (L6), so a file that does not open is no corruption to report:
// the reader drops it and rebuilds. The checksum covers the header too, so that a file of one kind is
// never taken for another.
//
// The package works on byte slices, does no I/O and keeps no state.
package snapshot
