// Package sharestate asks the coordinators of __share_group_state about share partitions (KIP-932), wherever they are: leaders of partitions read and
// write what members have done, coordinators of groups have it begun and forgotten.
//
//	request.go  Request, Answer; Ask has this broker's own coordinator decide
//	client.go   Client: who coordinates what, and asking again
//	queue.go    calls to other brokers
//
// What this broker coordinates is asked at once. For each group and partition of the topic elsewhere there is a queue, and few calls at a time, each with all
// that waits: one coordinator that is slow holds up nobody else's. What is refused because coordinators move or load is asked again after pauses that grow, of whoever
// coordinates it by then, until it has been too long.
//
// Invariants:
//   - Each request is answered once, also when the Client stops.
//   - Nothing but a coordinator's answer is success.
//   - What a late copy would undo (to begin, to forget) is not asked again when a call's outcome is unknown. Reading and writing twice is as good as once:
//     epochs fence, and of two fates of a record the later one counts.
//
// Everything may be called from any goroutine. Answers come on any goroutine, perhaps before the call returns; no lock is held then. A goroutine runs for what
// waits, and none otherwise.
package sharestate
