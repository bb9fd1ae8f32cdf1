package schema

import (
	"fmt"
	"reflect"

	"chronik/internal/invariant"
)

// Topic is one of the coordinators' topics.
type Topic struct {
	Name  string
	kinds map[int16]*kind // by the number that their keys begin with
}

// kind is a type of record.
type kind struct {
	name             string
	number           int16
	newest, flexible int16 // versions of the value: the newest, and the first with tagged fields
	types            recordTypes
	decode           func(key *coder, value []byte) (Record, error)
}

// The topics.
var (
	Groups = newTopic("__consumer_offsets",
		versionedKind[OffsetKey, LegacyOffset](0, "LegacyOffsetCommit", 0, 1),
		versionedKind[OffsetKey, Offset](1, "OffsetCommit", 4, 4),
		versionedKind[GroupKey, ClassicGroup](2, "GroupMetadata", 4, 4),
		newKind[GroupKey, ConsumerGroupMetadata](3, "ConsumerGroupMetadata"),
		newKind[GroupKey, ConsumerGroupPartitionMetadata](4, "ConsumerGroupPartitionMetadata"),
		newKind[MemberKey, ConsumerGroupMember](5, "ConsumerGroupMemberMetadata"),
		newKind[GroupKey, ConsumerGroupTarget](6, "ConsumerGroupTargetAssignmentMetadata"),
		newKind[MemberKey, ConsumerGroupTargetMember](7, "ConsumerGroupTargetAssignmentMember"),
		newKind[MemberKey, ConsumerGroupCurrentMember](8, "ConsumerGroupCurrentMemberAssignment"),
		newKind[MemberKey, ShareGroupMember](10, "ShareGroupMemberMetadata"),
		newKind[GroupKey, ShareGroupMetadata](11, "ShareGroupMetadata"),
		newKind[GroupKey, ShareGroupTarget](12, "ShareGroupTargetAssignmentMetadata"),
		newKind[MemberKey, ShareGroupTargetMember](13, "ShareGroupTargetAssignmentMember"),
		newKind[MemberKey, ShareGroupCurrentMember](14, "ShareGroupCurrentMemberAssignment"),
		newKind[GroupKey, ShareGroupPartitions](15, "ShareGroupStatePartitionMetadata"),
		newKind[PatternKey, ConsumerGroupPattern](16, "ConsumerGroupRegularExpression"),
		newKind[GroupKey, StreamsGroupMetadata](17, "StreamsGroupMetadata"),
		newKind[MemberKey, StreamsGroupMember](19, "StreamsGroupMemberMetadata"),
		newKind[GroupKey, StreamsGroupTarget](20, "StreamsGroupTargetAssignmentMetadata"),
		newKind[MemberKey, StreamsGroupTargetMember](21, "StreamsGroupTargetAssignmentMember"),
		newKind[MemberKey, StreamsGroupCurrentMember](22, "StreamsGroupCurrentMemberAssignment"),
		newKind[GroupKey, StreamsTopology](23, "StreamsGroupTopology"),
	)
	Transactions = newTopic("__transaction_state",
		versionedKind[TransactionKey, Transaction](0, "TransactionLog", 1, 1))
	Shares = newTopic("__share_group_state",
		newKind[SharePartitionKey, ShareSnapshot](0, "ShareSnapshot"),
		newKind[SharePartitionKey, ShareUpdate](1, "ShareUpdate"))
)

// byTypes finds a record's kind. It is complete when this package is initialised.
var byTypes = func() map[recordTypes]*kind {
	m := make(map[recordTypes]*kind)
	for _, t := range []*Topic{Groups, Transactions, Shares} {
		for _, k := range t.kinds {
			m[k.types] = k
		}
	}
	return m
}()

func kindOf(r Record) *kind {
	k := byTypes[r.types()]
	if k == nil {
		invariant.Failf("%T is no record of any topic", r)
	}
	return k
}

func newTopic(name string, kinds ...*kind) *Topic {
	t := &Topic{Name: name, kinds: make(map[int16]*kind, len(kinds))}
	for _, k := range kinds {
		t.kinds[k.number] = k
	}
	return t
}

// pointer is a *T that is a message.
type pointer[T any] interface {
	*T
	message
}

// newKind is a record whose value has one version, with tagged fields.
func newKind[K, V any, PK pointer[K], PV pointer[V]](n int16, name string) *kind {
	return versionedKind[K, V, PK, PV](n, name, 0, 0)
}

// versionedKind is a record whose value has several versions: the newest, and the first that has tagged fields.
func versionedKind[K, V any, PK pointer[K], PV pointer[V]](n int16, name string, newest, flexible int16) *kind {
	k := &kind{name: name, number: n, newest: newest, flexible: flexible, types: recordTypes{reflect.TypeFor[K](), reflect.TypeFor[V]()}}
	k.decode = func(c *coder, value []byte) (Record, error) {
		r := new(Rec[K, V])
		if err := readKey(c, PK(&r.Key)); err != nil {
			return nil, err
		}
		if value == nil {
			return r, nil
		}
		r.Value = new(V)
		c.buf = value
		if err := k.readValue(c, PV(r.Value)); err != nil {
			return nil, fmt.Errorf("%w (key %+v)", err, r.Key)
		}
		return r, nil
	}
	return k
}
