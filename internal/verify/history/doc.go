// Package history judges what clients of a replicated log saw: which records they wrote, with what outcome, and what each poll showed
// them, in the order in which it happened. It says where a promise was broken, with the evidence.
//
// A history is a sequence of Events. It comes from a run (package verify) while it happens, or from a file of JSON lines. The same events
// lead to the same verdict: there is no clock, no network, no goroutine here.
//
// What is looked for is listed at the Kinds. What is not a violation, but a weaker guarantee made use of, is a note: a plain producer's
// retry that is stored twice, an acks=1 record that its leader took along.
//
// Memory is bounded. Each write takes 40 bytes and each offset 8, in pages of which at most Options.MemoryPages are in memory and the others in
// Options.Spill; a day at 1,000 records per second is 4 GB there. Kept in memory beside that are, per partition, gaps between
// acknowledgements (maxGaps), and per kind maxKept violations; both are counted on beyond these bounds.
//
// Concurrency: a Checker belongs to one goroutine at a time.
package history
