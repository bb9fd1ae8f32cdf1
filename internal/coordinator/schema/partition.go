package schema

import (
	"fmt"
	"unicode/utf8"
)

// Partition is the partition, of so many, whose leader coordinates a group or a transactional ID; of a share
// partition the name is what its key's Coordinated returns. It is Kafka's: clients and tools work it out for themselves.
func Partition(name string, partitions int32) int32 {
	h := hash(name)
	if h = max(h, -h); h < 0 { // the one number that has no positive counterpart
		h = 0
	}
	return h % partitions
}

// Coordinated is the name by which the coordinator of a share partition's state is found.
func (k SharePartitionKey) Coordinated() string {
	return fmt.Sprintf("%s:%s:%d", k.Group, k.TopicID, k.Partition)
}

// hash is that of a Java string: over UTF-16 code units. Bytes that are no UTF-8 are what Java reads them as, U+FFFD.
func hash(s string) int32 {
	var h int32
	for _, r := range s {
		if r >= 0x10000 && r <= utf8.MaxRune {
			r -= 0x10000
			h = 31*h + (0xd800 + r>>10)
			r = 0xdc00 + r&0x3ff
		}
		h = 31*h + r
	}
	return h
}
