package schema

import (
	"slices"

	"chronik/internal/model"
)

// Records of offsets, of classic groups and of transactions.
type (
	OffsetCommit = Rec[OffsetKey, Offset]
	// LegacyOffsetCommit is one that was written by a broker of 2014. Its key is another than an OffsetCommit's, and compaction knows
	// no better: it takes a tombstone of its own to delete it.
	LegacyOffsetCommit = Rec[OffsetKey, LegacyOffset]
	GroupMetadata      = Rec[GroupKey, ClassicGroup]
	TransactionLog     = Rec[TransactionKey, Transaction]
)

// NoTime is what a time is that a record does not have, in ms.
const NoTime int64 = -1

// Offset is a committed offset.
type Offset struct {
	Offset          model.Offset
	LeaderEpoch     model.LeaderEpoch // of the last record before it; NoEpoch: not known
	Metadata        string
	CommitTimestamp int64         // ms
	ExpireTimestamp int64         // ms; NoTime: as the broker is configured. Clients could give it until 2.1
	TopicID         model.TopicID // zero: not known
	Tags            []Tag
}

// version is 4, but 1 is the only one with a time of expiry.
func (v *Offset) version() int16 {
	if v.ExpireTimestamp != NoTime {
		return 1
	}
	return 4
}

func (v *Offset) fields(c *coder) {
	if c.reading {
		v.LeaderEpoch, v.ExpireTimestamp = model.NoEpoch, NoTime
	}
	number(c, &v.Offset)
	if c.version >= 3 {
		number(c, &v.LeaderEpoch)
	}
	c.string(&v.Metadata)
	number(c, &v.CommitTimestamp)
	if c.version == 1 {
		number(c, &v.ExpireTimestamp)
	}
	c.tags(&v.Tags, tagged{0, !v.TopicID.IsZero(), func(c *coder) { c.topicID(&v.TopicID) }})
}

// LegacyOffset is what an offset was.
type LegacyOffset struct {
	Offset          model.Offset
	Metadata        string
	CommitTimestamp int64 // ms
}

func (v *LegacyOffset) fields(c *coder) {
	number(c, &v.Offset)
	c.string(&v.Metadata)
	number(c, &v.CommitTimestamp)
}

// ClassicGroup is a generation of a classic group, once its leader has assigned partitions.
type ClassicGroup struct {
	ProtocolType          string // "consumer", or what frameworks call theirs; empty: the group has committed offsets only
	Generation            int32
	Protocol              *string // the assignment strategy
	Leader                *string
	CurrentStateTimestamp int64 // ms; NoTime: not known
	Members               []ClassicGroupMember
	Tags                  []Tag
}

// ClassicGroupMember is a member of a generation.
type ClassicGroupMember struct {
	MemberID         string
	GroupInstanceID  *string
	ClientID         string
	ClientHost       string
	RebalanceTimeout int32 // ms
	SessionTimeout   int32 // ms
	Subscription     []byte
	Assignment       []byte
	Tags             []Tag
}

// version is 3: Kafka reads 4, and does not write it.
func (v *ClassicGroup) version() int16 { return 3 }

func (v *ClassicGroup) fields(c *coder) {
	if c.reading {
		v.CurrentStateTimestamp = NoTime
	}
	c.string(&v.ProtocolType)
	number(c, &v.Generation)
	c.nullableString(&v.Protocol)
	c.nullableString(&v.Leader)
	if c.version >= 2 {
		number(c, &v.CurrentStateTimestamp)
	}
	array(c, &v.Members, func(c *coder, m *ClassicGroupMember) { m.fields(c) })
	c.tags(&v.Tags)
}

func (m *ClassicGroupMember) fields(c *coder) {
	c.string(&m.MemberID)
	if c.version >= 3 {
		c.nullableString(&m.GroupInstanceID)
	}
	c.string(&m.ClientID)
	c.string(&m.ClientHost)
	if c.version >= 1 {
		number(c, &m.RebalanceTimeout)
	}
	number(c, &m.SessionTimeout)
	if c.reading && c.version == 0 {
		m.RebalanceTimeout = m.SessionTimeout // which was the same then
	}
	c.bytes(&m.Subscription)
	c.bytes(&m.Assignment)
	c.tags(&m.Tags)
}

// Transaction is the state of a transactional ID.
type Transaction struct {
	ProducerID          model.ProducerID
	ProducerEpoch       int16
	TimeoutMs           int32
	Status              TransactionStatus
	Partitions          []TransactionTopic // nil: none, which is other than no topic for whoever prints it
	LastUpdateTimestamp int64              // ms
	StartTimestamp      int64              // ms; NoTime: none has begun
	PreviousProducerID  model.ProducerID   // that a retry may come with
	NextProducerID      model.ProducerID   // once the transaction has ended
	NextProducerEpoch   int16              // -1: none
	ClientVersion       int16              // transaction.version of the client (KIP-890)
	Tags                []Tag
}

// TransactionTopic are partitions that a transaction has written to.
type TransactionTopic struct {
	Topic      string
	Partitions []int32
	Tags       []Tag
}

// TransactionStatus is where a transaction stands, with Kafka's numbers.
type TransactionStatus int8

// The states of a transaction.
const (
	TxnEmpty TransactionStatus = iota
	TxnOngoing
	TxnPrepareCommit
	TxnPrepareAbort
	TxnCompleteCommit
	TxnCompleteAbort
	TxnDead
	TxnPrepareEpochFence
)

var transactionStatusNames = [...]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String is the name that clients see.
func (s TransactionStatus) String() string {
	if s < 0 || int(s) >= len(transactionStatusNames) {
		return "Unknown"
	}
	return transactionStatusNames[s]
}

// TransactionStatusNamed returns the state of a name, false if there is none.
func TransactionStatusNamed(name string) (TransactionStatus, bool) {
	i := slices.Index(transactionStatusNames[:], name)
	return TransactionStatus(i), i >= 0
}

// version is 1, which transaction.version 1 and 2 write.
func (v *Transaction) version() int16 { return 1 }

func (v *Transaction) fields(c *coder) {
	if c.reading {
		v.PreviousProducerID, v.NextProducerID, v.NextProducerEpoch = model.NoProducer, model.NoProducer, -1
	}
	number(c, &v.ProducerID)
	number(c, &v.ProducerEpoch)
	number(c, &v.TimeoutMs)
	number(c, &v.Status)
	nullableArray(c, &v.Partitions, func(c *coder, t *TransactionTopic) { t.fields(c) })
	number(c, &v.LastUpdateTimestamp)
	number(c, &v.StartTimestamp)
	c.tags(&v.Tags,
		tagged{0, v.PreviousProducerID != model.NoProducer, func(c *coder) { number(c, &v.PreviousProducerID) }},
		tagged{1, v.NextProducerID != model.NoProducer, func(c *coder) { number(c, &v.NextProducerID) }},
		tagged{2, v.ClientVersion != 0, func(c *coder) { number(c, &v.ClientVersion) }},
		tagged{3, v.NextProducerEpoch != -1, func(c *coder) { number(c, &v.NextProducerEpoch) }})
}

func (t *TransactionTopic) fields(c *coder) {
	c.string(&t.Topic)
	array(c, &t.Partitions, number[int32])
	c.tags(&t.Tags)
}
