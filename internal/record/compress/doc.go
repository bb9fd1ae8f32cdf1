// Package compress is Kafka's five compression codecs in the framings that its clients send and expect:
// gzip; snappy in blocks behind the header of xerial's Java library, which every client reads (raw snappy,
// which some send, is read too); LZ4 frames; Zstandard frames.
//
// Invariants:
//   - Decompress never returns more than its caller's limit and never allocates more than that, whatever the
//     input claims about its own size (E2). Claims of sizes are believed only as far as the bytes that are there
//     could deliver them.
//   - Encoders and decoders are pooled: steady use allocates nothing but what dst lacks.
//
// Concurrency: all functions may be called by any number of goroutines. None starts one.
package compress
