// Package compaction has a real server compact a topic that is written to all the time, and kills it in the middle of that, again and
// again. In the end each key has its latest value, and in what was compacted nothing but that.
package compaction
