// Package record reads, checks, stamps and builds record batches of magic 2, the only form in which Chronik
// stores records and sends them (KIP-98).
//
// A Batch is a view: a []byte that holds exactly one batch. Nothing is decoded to answer a question about
// its header, and nothing is copied to stamp it. What the producer sent stays what it sent (L4): the base
// offset and the leader epoch stand before the bytes that the CRC covers, so stamping them costs two stores;
// the setters that do touch covered bytes say so and recompute the CRC.
//
// Invariants:
//   - Every accessor is safe on a Batch that Next returned or that passed Check: both prove that the whole
//     header is there. On other bytes accessors may panic.
//   - Next, Check, CheckClient, the accessors and the setters allocate nothing unless they fail.
//   - Bytes from the network never make this package panic or allocate more than a small multiple of their
//     own length (E2); decompression is bounded by the limit that its caller gives (package compress).
//
// Concurrency: values have no locks. Any number of goroutines may read one Batch; a setter needs it alone.
package record
