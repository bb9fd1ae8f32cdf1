// Package shardtest is the world in which the machines of coordinators play their scripts and random histories: a log whose watermark stands
// still when it is told to, and which refuses and loses what is above it; timers; metadata; and who waits for what.
//
//	World             a decision and what follows of it, as shard.Shard has it, one at a time
//	Refuse, Reload    what can happen to what is not settled
//	Same              a machine that is loaded from the log is the one that wrote it
//
// It is for tests only. A World belongs to one goroutine.
package shardtest
