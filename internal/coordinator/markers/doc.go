// Package markers carries the markers that end transactions from their coordinator to the brokers that lead the partitions (T3).
//
// There is one queue for each other broker, and one call to it at a time with all markers that wait for it. This broker's own partitions take theirs at once: their logs
// gather what is to be synced, and nobody waits for others. What a broker has not written goes back, after
// pauses that grow, to whoever leads the partition by then: until each partition has its marker or exists no more, or the coordinator decides nothing any
// more and its successor begins anew. A marker may be written twice; the second one says nothing new.
//
// Invariant: what the coordinator is told to be written is durable (acks=-1): nothing but an answer without an error counts.
//
// Everything may be called from any goroutine. A goroutine runs for each broker that there is something for, this one once there is an answer, and none otherwise.
package markers
