// Package durability holds the tests that a real process must pass: nothing that it acknowledged is lost
// when it is killed, and each acknowledgement comes after the sync that covers it.
//
// kill -9 proves that recovery finds what the page cache kept, not that anything was synced: that is shown
// by the power-cut tests over crashfs, and by the trace of system calls here.
package durability
