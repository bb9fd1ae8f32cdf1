package model

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// Offset is a record's position in its partition. Offsets start at 0 and grow by one per record;
// only compaction leaves gaps.
type Offset int64

// NoOffset is the wire's -1: an offset that is absent or not known.
const NoOffset Offset = -1

// LeaderEpoch counts the leaders that a partition has had (KIP-101). It only grows.
type LeaderEpoch int32

// NoEpoch is the wire's -1: no epoch, or one that is not known.
const NoEpoch LeaderEpoch = -1

// BrokerID is a node's numeric identity in its cluster, the node.id of Kafka.
type BrokerID int32

// NoBroker is the wire's -1: no such broker, for example no leader.
const NoBroker BrokerID = -1

// BrokerIDs gives the numbers of a message their type. Whoever reads them from outside judges them first. No numbers are nil.
func BrokerIDs(ns []int32) []BrokerID {
	if len(ns) == 0 {
		return nil
	}
	ids := make([]BrokerID, len(ns))
	for i, n := range ns {
		ids[i] = BrokerID(n)
	}
	return ids
}

// Int32s is a list of brokers as messages carry it. It is never nil, which some of them would write as null.
func Int32s(ids []BrokerID) []int32 {
	ns := make([]int32, len(ids))
	for i, id := range ids {
		ns[i] = int32(id)
	}
	return ns
}

// BrokerEpoch identifies one registration of a broker, that is one incarnation of its process: the index of the metadata
// entry that registered it. It only grows (R1).
type BrokerEpoch int64

// NoBrokerEpoch is the wire's -1: a broker that is not registered, or an epoch that is not known.
const NoBrokerEpoch BrokerEpoch = -1

// ProducerID identifies an idempotent or transactional producer (KIP-98).
type ProducerID int64

// NoProducer is the wire's -1: a batch without an idempotent producer.
const NoProducer ProducerID = -1

// TopicID is the identity of one topic for its whole life (KIP-516): a topic that is deleted and
// created again under its old name has another ID.
type TopicID [16]byte

// NewTopicID returns a random version-4 UUID. It never returns the zero ID, nor the two that Kafka
// reserves, because the version bits are set.
func NewTopicID() TopicID {
	var id TopicID
	_, _ = rand.Read(id[:]) // crypto/rand.Read never returns an error since Go 1.24
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// IsZero tells whether the ID is the wire's "no topic ID".
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the form in which Kafka's tools print IDs: URL-safe base64 without padding, 22 characters.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ErrBadTopicID is returned for text that is not a topic ID.
var ErrBadTopicID = errors.New("not a topic ID: want 22 characters of URL-safe base64")

// ParseTopicID reads what String prints.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(id) {
		return TopicID{}, fmt.Errorf("%q: %w", s, ErrBadTopicID)
	}
	copy(id[:], b)
	return id, nil
}

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is the form of Kafka's logs and of the directory on disk: "topic-partition".
func (tp TopicPartition) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// Compare orders by topic, then by partition.
func (tp TopicPartition) Compare(o TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, o.Topic), cmp.Compare(tp.Partition, o.Partition))
}
