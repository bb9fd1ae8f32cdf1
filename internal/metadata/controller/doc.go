// Package controller decides: given an image and a request, which commands follow, or why none do.
//
// Every function is pure. The image, the static configuration and the source of topic IDs come in; commands and
// one answer per item go out. Nothing here reads a clock, waits or writes, so a decision can be made again when
// image.Apply finds a conflict, and tests are tables of requests and answers.
//
// A request that asks for several things is answered item by item: what can be done is done, the rest is
// refused. A *Refusal says why, in Kafka's words where Kafka has them; package api turns its Reason into an error
// code. What is impossible is refused, not capped (M4).
//
// Concurrency: no state.
package controller
