// Package mem holds the memory that bytes travel in: pooled, reference-counted buffers (Buf, Pool) and the
// broker-wide limit on what all connections hold together (Budget).
//
// A frame is read into a Buf; everything that still needs its bytes (a request, the log's queue) holds one
// reference each; the last Release gives the memory back. So record bytes are copied by nobody between the
// socket and the disk, and at a steady load nothing is allocated.
//
// # Invariants
//   - Bytes of a Buf belong to its holders until the last Release and to nobody after it. A response is never
//     built from a buffer already recycled (E1). Builds with the tag `invariants` fill released memory with 0xDB and
//     check on its way out of the pool that nobody has written to it meanwhile.
//   - Releasing more often than retained, or retaining after the last release, panics in every build.
//   - What is charged to a Budget never exceeds its limit, and comes back with the last Release (E2: bounded memory).
//
// # Concurrency
// All methods may be called from any goroutine. The bytes themselves are not synchronised: a Buf is written by one
// goroutine before it is shared, and only read from then on, but where its holders agree otherwise (the log stamps
// offsets in place before it queues).
package mem
