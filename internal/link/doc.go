// Package link is an authenticated connection between two brokers: a handshake, then frames both ways until one side has a reason
// to end it. It knows nothing of what the frames mean.
//
// # Handshake
//
//	dialer   -> hello      who I am, what I speak, what for, a nonce
//	acceptor -> hello      the same, with its own nonce
//	dialer   -> proof      HMAC-SHA256 of the secret over "dialer", the TLS session if there is one, and both hellos
//	acceptor -> proof      the same over "acceptor"
//
// Either side may send a refusal with a reason instead, and closes. The dialer proves first, so that a port which is open to strangers hands them
// nothing to guess the secret from. An acceptor tells TLS by the dialer's first bytes. Over TLS the proof is bound to the session. With Auth.Identify the peer's
// certificate has to name the node that the hello claims; package certs beside this one has the certificates. Without TLS, the secret says who is at the other end when a link begins, and a network whose
// devices are hostile could still change bytes later on: that needs TLS.
//
// A dialer gives up on a network that swallows everything after Patience, and on a handshake after a second (longer where the peer is there and slow), and tries
// again at once: see DialerOptions.
//
// Both sides offer a range of protocol versions and take the highest that they have in common; a release speaks its own and the one before (E5).
//
// # Frames
//
// Four bytes of body length, one of type, four of CRC-32C over these five and the body, then the body. Types below FirstType are the link's own: a
// heartbeat, and a goodbye that carries the reason. Integers are big-endian. docs/format/replication-protocol.md has it byte by byte.
//
// # A link
//
// A link is two goroutines: Run, which reads, and the writer. A Session, the link's user, is handed each frame by the reader, and is asked by the
// writer what there is to send (Fill) after Wake. Whatever became ready while a write was going on leaves with the next one: that is the only
// batching, there is no timer. Users without a Session of their own queue whole frames with Send or TrySend.
//
// Both sides send at least a heartbeat in a third of the silence that the other one tolerates, so a peer that vanished without a
// word (a lost host, a cut cable) is noticed by its silence. Bytes count as a sign of life, whole or not, and so large
// frames on slow lines are no silence. Time in which this process itself stood still is not held against the peer.
//
// # Invariants
//   - E2: any bytes from the network lead to frames or to a closed connection with a reason. The handshake is bounded in bytes and time; a
//     frame is bounded by its role, and gets memory as its bytes arrive.
//   - E5: no frame is delivered, and no session exists, before both proofs were checked.
//   - Session.Closed is called once, after the last Frame and the last Fill.
//
// # Concurrency
//
// All methods of Link, Dialer and Server may be called from any goroutine. A Batch is for the one Fill or build function that it was
// given to. The package keeps time with package time; tests run in testing/synctest bubbles.
package link
