// Package operate is what an operator does to a whole cluster: look at it, let a node in, take one out, spread the load. It speaks Kafka's
// protocol alone, as a client like any other, so it works from any machine that reaches the brokers.
//
// A View is what was seen of the cluster at one time. Two kinds of decisions are made from it, both pure: Judge says what is wrong and what
// to do about it; an Aim (Rebalance, AddNode, RemoveNode) says what the next step is. Run looks, takes one step, and looks again,
// until there is none left. It keeps nothing in between: all state is in the cluster. So an operation that was interrupted at any point goes on
// when the same command is given again, and two that run at the same time only do each other's work.
//
// Concurrency: a Client may be used by one goroutine at a time; everything else is a value.
package operate
