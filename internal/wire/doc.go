// Package wire is what Chronik knows of Kafka's protocol beyond the messages themselves, which kmsg encodes and
// decodes: request headers, which versions of which APIs there are, how a response is framed, and three things that
// kmsg does not do well enough for a broker:
//
//   - It decodes untrusted bytes with loops and allocations that a few bytes can blow up. Table.Decode walks a
//     request against the shape that Kafka's own schema gives it before kmsg sees it (shape.go).
//   - It decodes Produce into fresh memory each time, and compares by reflection to encode the response.
//     ProduceRequest reuses its own memory, its records alias the frame, and AppendProduceResponse allocates nothing.
//   - It copies records when it encodes a Fetch response. FetchResponse leaves them where they are, as a Region that
//     writes itself to the socket.
//
// ByTopic, which gathers what a message says of partitions under their topics, is for those who fill kmsg's messages.
//
// Invariants:
//   - Any bytes give a result or an error, never a panic, in time linear in their number and in memory bounded by
//     twice maxDecodedBytes (E2).
//   - What the Table lists is what Decode decodes and AppendResponse encodes; nothing else is advertised.
//   - A string in a decoded request is a copy or interned; only byte slices alias the frame (E1).
//
// Concurrency: a Table is immutable and may be shared. An Interner and a ProduceRequest belong to one goroutine, the
// reader of a connection. Nothing here starts a goroutine, opens a file or a connection.
package wire
