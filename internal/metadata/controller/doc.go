// Package controller decides: given an image and a request, which commands follow, or why none do.
//
// Every function is pure. The image, the static configuration, the source of topic IDs and what is heard of the nodes come in;
// commands and one answer per item go out. Nothing here reads a clock, waits or writes, so a decision can be made again when
// image.Apply finds a conflict, and tests are tables of requests and answers.
//
// A request that asks for several things is answered item by item: what can be done is done, the rest is
// refused. A *Refusal says why, in Kafka's words where Kafka has them; package api turns its Reason into an error
// code. What is impossible is refused, not capped (M4).
//
// What elections rely on: the ISR changes only by decisions made here, each a compare-and-set on the partition epoch (R3); whoever leaves
// while the watermark stands still is eligible (revision.eligible); a new leader comes from ISR or ELR (revision.elect, R4),
// in a new leader epoch (R1). Every decision about a partition goes through revision.decide, whatever its cause.
//
// Several decisions may share one entry of the log: Combine makes each on the image that the ones before lead to.
//
// Concurrency: no state but Sessions, which has one caller at a time.
package controller
