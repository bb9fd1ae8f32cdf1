// Package peer is how brokers call each other and the active controller, over the control links of package link. Package raftlink beside it carries
// Raft's messages.
//
// # Calls
//
// A call is a request with a number, a method, the time that is left for it, and a protobuf body; the answer has the same number. Calls on one link
// overtake each other. docs/format/peer-protocol.md has the bytes. A method is one line in methods, one handler, one conversion each way.
//
//	Client    calls the active controller, whichever broker that is at the moment, this one included
//	Pool      keeps links to brokers for it: one for what is urgent and one for clients' requests, so that a heartbeat never waits behind a large request
//	Ask       asks one address what is there, before there is a cluster (M5)
//	Server    answers
//	Session   keeps this broker registered and alive in the eyes of the controller, and knows when that has ceased to be so (R6)
//
// # Invariants
//
//   - D4: a call succeeds only by its answer. If the link is lost, or time runs out, after the request may have left, the error is an
//     UnknownError; every other error says that nothing has changed. An answer that cannot be read is an UnknownError too.
//   - Only what is safe to repeat is repeated after an UnknownError; methods says what that is. What is known to have changed nothing is
//     tried again until the context ends.
//   - E2: what a peer sends is bounded in size, in calls at a time and in bytes at a time, for each method and peer. A slow handler holds up nobody
//     else's calls: each has a goroutine of its own.
//   - E5: who calls is what the link has proved, never what a message claims. A broker of no cluster can Ask and no more.
//   - R6: a session counts from when a heartbeat left, not from when its answer came: so it ends here no later than at the controller.
//
// # Errors
//
// A remote call fails as a local one does: with a *controller.Refusal, a *quorum.NotControllerError, an error that is quorum.ErrNoSpace or quorum.ErrTooLarge.
//
// # Concurrency
//
// Everything may be called from any goroutine, but pulse, the pure part of Session, which has one user. Time is package time's; tests run in
// testing/synctest bubbles.
package peer
