// Package sharesession remembers what each member of a share group fetches (KIP-932), as fetchsession does for consumers. A session
// belongs to a member and to the connection that began it; it is the member's sign of life on this broker: when it ends, what the member has acquired
// here is to be released.
//
//	cache.go     Cache: sessions begin, go on and end
//	session.go   a session's partitions, and which of them an answer names
//
// Invariants:
//   - A session's epoch grows by one with each request, ShareFetch or ShareAcknowledge, so that of requests that are sent again or overtake each
//     other one counts. Epoch 0 begins a session, -1 ends it.
//   - A session of which somebody was told ends once: with the member's last request, with its connection, or by another one of the
//     same member. An old connection does not end a session that goes on over another one.
//   - Partitions that were just served are served last next time.
//
// Who calls holds a lock: the package has none, starts no goroutine and reads no clock.
package sharesession
