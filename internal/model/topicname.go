package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxTopicName is the longest topic name in bytes, as in Kafka: a directory name of 255 bytes less
// "-" and five digits of a partition.
const MaxTopicName = 249

// ErrBadTopicName is returned for a name that Kafka's rules refuse.
var ErrBadTopicName = errors.New("invalid topic name")

// CheckTopicName applies Kafka's rules: 1 to 249 of [a-zA-Z0-9._-], and neither "." nor "..".
// A name that passes is safe as part of a file name.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrBadTopicName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: it must not be %q", ErrBadTopicName, name)
	case len(name) > MaxTopicName:
		return fmt.Errorf("%w: it has %d characters, the most is %d", ErrBadTopicName, len(name), MaxTopicName)
	}
	for i := range len(name) {
		if !topicNameByte(name[i]) {
			return fmt.Errorf("%w: %q has a character that is not an ASCII letter, a digit, '.', '_' or '-'", ErrBadTopicName, name)
		}
	}
	return nil
}

func topicNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// CollisionKey is equal for two names exactly when Kafka says that they collide: its metric names turn
// '.' into '_', so "a.b" and "a_b" cannot stand side by side.
func CollisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }

// ParseTopicPartition reads the directory form "topic-partition", splitting at the last '-'.
func ParseTopicPartition(s string) (TopicPartition, error) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return TopicPartition{}, fmt.Errorf("%q is not topic-partition: it has no '-'", s)
	}
	topic, digits := s[:i], s[i+1:]
	if err := CheckTopicName(topic); err != nil {
		return TopicPartition{}, err
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits {
		return TopicPartition{}, fmt.Errorf("%q is not topic-partition: %q is not a partition number", s, digits)
	}
	return TopicPartition{Topic: topic, Partition: int32(n)}, nil
}
