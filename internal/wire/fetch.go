package wire

import (
	"encoding/binary"

	"chronik/internal/model"
)

// FetchResponse is a Fetch response whose records stay where they are. Fields that a version does not have are left out.
type FetchResponse struct {
	Version    int16
	ThrottleMs int32
	ErrorCode  int16 // of the whole response, version 7 and above
	SessionID  int32
	Topics     []FetchTopic
	Endpoints  []NodeEndpoint // of the leaders named in CurrentLeader; version 16 and above
}

// FetchTopic is one topic: by Name up to version 12, by ID from 13 on.
type FetchTopic struct {
	Name       string
	ID         model.TopicID
	Partitions []FetchPartition
}

// FetchPartition is one partition's part of a FetchResponse.
type FetchPartition struct {
	Partition            int32
	ErrorCode            int16
	HighWatermark        model.Offset
	LastStableOffset     model.Offset
	LogStartOffset       model.Offset
	Aborted              []AbortedTxn // nil is null: not asked for (read_uncommitted)
	PreferredReadReplica model.BrokerID
	Records              Region // nil is empty. The frame takes it over.
	// DivergingEpoch, if not nil, says where the fetcher's log parts from this one (version 12 and above).
	DivergingEpoch *EpochEnd
	// CurrentLeader, if not nil, goes with an error that means "ask another broker" (KIP-951, version 12 and above).
	CurrentLeader *CurrentLeader
	// SnapshotID, if not nil, tells a fetcher to load a snapshot first; only metadata logs have one.
	SnapshotID *EpochEnd
}

// AbortedTxn tells a read_committed consumer to skip a producer's records from an offset up to its next marker.
type AbortedTxn struct {
	Producer    model.ProducerID
	FirstOffset model.Offset
}

// EpochEnd is an epoch and the offset at which it ends.
type EpochEnd struct {
	Epoch     model.LeaderEpoch
	EndOffset model.Offset
}

const (
	fetchSessions     = 7  // error code and session ID of the response
	fetchLogStart     = 5  // log start offset
	fetchPreferred    = 11 // preferred read replica (KIP-392)
	fetchFlexible     = 12
	fetchTopicIDs     = 13
	fetchEndpoints    = 16 // KIP-951
	fetchMinVersion   = 4  // the first with record batches of magic 2
	tagDivergingEpoch = 0
	tagCurrentLeader  = 1
	tagSnapshotID     = 2
)

// Encode encodes a response into the frame, which must be zero or released, and takes over the regions in it: Release
// releases them, also after an error. The error wraps ErrResponseTooLarge.
func (f *Frame) Encode(correlationID int32, r *FetchResponse) error {
	f.size = 0
	e := fetchEncoder{encoder: encoder{buf: f.buf[:0], flexible: r.Version >= fetchFlexible}, frame: f, version: r.Version}
	e.header(correlationID)
	e.int32(r.ThrottleMs)
	if e.version >= fetchSessions {
		e.int16(r.ErrorCode)
		e.int32(r.SessionID)
	}
	e.length(len(r.Topics))
	for i := range r.Topics {
		e.topic(&r.Topics[i])
	}
	if e.version >= fetchEndpoints {
		e.endpoints(r.Endpoints)
	} else {
		e.noTags()
	}
	f.buf = e.buf
	f.size += int64(len(f.buf))
	if err := checkFrameSize(f.size - sizePrefix); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(f.buf, uint32(f.size-sizePrefix))
	return nil
}

type fetchEncoder struct {
	encoder
	frame   *Frame
	version int16
}

func (e *fetchEncoder) topic(t *FetchTopic) {
	if e.version >= fetchTopicIDs {
		e.buf = append(e.buf, t.ID[:]...)
	} else {
		e.string(t.Name)
	}
	e.length(len(t.Partitions))
	for i := range t.Partitions {
		e.partition(&t.Partitions[i])
	}
	e.noTags()
}

func (e *fetchEncoder) partition(p *FetchPartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(int64(p.HighWatermark))
	e.int64(int64(p.LastStableOffset))
	if e.version >= fetchLogStart {
		e.int64(int64(p.LogStartOffset))
	}
	if p.Aborted == nil {
		e.length(-1)
	} else {
		e.length(len(p.Aborted))
	}
	for _, a := range p.Aborted {
		e.int64(int64(a.Producer))
		e.int64(int64(a.FirstOffset))
		e.noTags()
	}
	if e.version >= fetchPreferred {
		e.int32(int32(p.PreferredReadReplica))
	}
	if p.Records == nil {
		e.length(0)
	} else {
		e.length(p.Records.Len())
		e.frame.insert(len(e.buf), p.Records)
	}
	if e.flexible {
		e.partitionTags(p)
	}
}

// epochEndSize is an epoch, an offset and the empty list of tagged fields of their own.
const epochEndSize = 4 + 8 + 1

func (e *fetchEncoder) partitionTags(p *FetchPartition) {
	n := 0
	for _, present := range [...]bool{p.DivergingEpoch != nil, p.CurrentLeader != nil, p.SnapshotID != nil} {
		if present {
			n++
		}
	}
	e.uvarint(n)
	if d := p.DivergingEpoch; d != nil {
		e.uvarint(tagDivergingEpoch)
		e.uvarint(epochEndSize)
		e.int32(int32(d.Epoch))
		e.int64(int64(d.EndOffset))
		e.noTags()
	}
	if p.CurrentLeader != nil {
		e.currentLeader(tagCurrentLeader, p.CurrentLeader)
	}
	if s := p.SnapshotID; s != nil { // offset first, unlike DivergingEpoch
		e.uvarint(tagSnapshotID)
		e.uvarint(epochEndSize)
		e.int64(int64(s.EndOffset))
		e.int32(int32(s.Epoch))
		e.noTags()
	}
}
