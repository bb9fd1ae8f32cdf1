// Package server speaks the Kafka protocol's outer half on network connections: it accepts them, cuts requests out of
// the bytes that arrive, hands them to a Handler in order, and sends the replies back in the same order. What a
// request means is none of its business; that is package api's.
//
// # A connection
//
// The reader goroutine reads into a chunk (mem.Buf), cuts as many frames out of it as have arrived and calls
// the Handler for each; requests alias the chunk. Every request owns a Slot, its place in the connection's order. Slots are
// completed by any goroutine in any sequence. Whoever completes the oldest open slot gets the connection's *right to
// write*; its holder encodes the whole completed prefix and writes it in one go, again while there is more. So a group commit
// that completes a hundred slots costs one wakeup and about one system call.
//
//	bytes -> source -> reader (frames) -> dispatch -> Handler -> Slot ... Slot.Send -> queue -> writer -> bytes
//
// The records of a Fetch response are not encoded. Small ones are read beside the rest of the response; larger ones go from the
// page cache to the socket by sendfile, where file, socket and system allow (fileSender), and are read and written in pieces
// elsewhere (TLS, in-memory connections, simulated disks).
//
// # Invariants
//   - E1: replies leave in request order. Only Produce and OffsetCommit pipeline, each with its like: any other request starts when all slots before
//     it are complete. A request's chunk is released only after its reply is encoded, so a reply may alias the request,
//     but for requests that their handlers forget (Request.Forget), because they wait for others, perhaps for minutes.
//   - E2: memory is bounded. Chunks are charged to the broker-wide budget of the mem.Pool; a frame gets memory in proportion
//     to the bytes of it that have arrived; open slots and their bytes are limited per connection; so is time: an
//     idle connection, a frame that trickles in and a client that takes no replies are all cut off. An idle TCP
//     connection holds no chunk.
//   - A slot is completed exactly once, and its reply is never an invented success: a handler that panics, or
//     returns an unusable reply, costs the client its connection (D4).
//
// # Concurrency
//
// Handler.Handle runs in the reader goroutine. A Request may be used until its slot is completed. Slot methods may be
// called from anywhere and never block. One mutex per connection guards its queue of slots, one per server the set of
// connections; neither is held across I/O, a channel operation or a call of the handler.
package server
