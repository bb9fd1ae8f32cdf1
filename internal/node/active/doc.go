// Package active is the active controller at work: it turns what brokers ask for into entries of the metadata log, keeps their
// sessions, and does what nobody asks for. The decisions themselves are those of metadata/controller.
//
// Every node has a Controller. It acts while its node leads the metadata quorum and has applied the first entry of its own term;
// otherwise it answers that another node decides. Sessions belong to one term: whoever becomes active gives every broker a whole
// session to be heard, but for the controller before, whose silence has made it active.
//
// # Invariants
//
//   - The first entry of a controller makes the metadata those of a cluster, if they were a node's alone; nothing is answered before.
//   - R6: a heartbeat is answered only after a majority of the quorum has confirmed, after it came, that this node still leads. So the session
//     of a broker cannot be kept by a controller that was deposed and does not know.
//   - Who has sent a heartbeat while its fencing was being decided is not fenced.
//   - D4: what is not known to have failed is not reported as a failure, nor as done.
//
// # Concurrency
//
// All methods may be called from any goroutine. Run's goroutine never waits for the log: sessions are looked at while decisions are on their way,
// one of each kind at a time. Time is package time's; tests run in testing/synctest bubbles.
package active
