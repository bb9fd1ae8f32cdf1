// Package ledger keeps what a broker has promised to its clients, and holds against it what the broker still
// has: after a kill, after a power cut, after a full disk. It is for tests only.
//
// A Ledger is about one topic. Every record carries a number of its own, from which its bytes follow, so that a
// record read back says by itself which it is and whether it is whole. Entered are: where acknowledged records
// stand, what consumers were shown, and how far records were asked, and acknowledged, to be deleted. Audit names
// each promise that the contents of the topic break.
//
// Everything but Audit may be called from any goroutine; Audit comes when the producers have ended.
package ledger
