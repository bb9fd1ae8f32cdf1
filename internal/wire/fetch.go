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

// CurrentLeader names the leader that the client should ask instead.
type CurrentLeader struct {
	ID    model.BrokerID
	Epoch model.LeaderEpoch
}

// NodeEndpoint is where a broker listens.
type NodeEndpoint struct {
	ID   model.BrokerID
	Host string
	Port int32
	Rack *string
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
	tagEndpoints      = 0
)

// Encode encodes a response into the frame, which must be zero or released, and takes over the regions in it: Release
// releases them, also after an error. The error wraps ErrResponseTooLarge.
func (f *Frame) Encode(correlationID int32, r *FetchResponse) error {
	f.buf = append(f.buf[:0], 0, 0, 0, 0)
	f.size = 0
	e := fetchEncoder{Frame: f, version: r.Version, flexible: r.Version >= fetchFlexible}
	f.buf = appendResponseHeader(f.buf, correlationID, e.flexible)
	e.int32(r.ThrottleMs)
	if e.version >= fetchSessions {
		e.int16(r.ErrorCode)
		e.int32(r.SessionID)
	}
	e.length(len(r.Topics))
	for i := range r.Topics {
		e.topic(&r.Topics[i])
	}
	e.endpoints(r.Endpoints)
	f.size += int64(len(f.buf))
	if err := checkFrameSize(f.size - sizePrefix); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(f.buf, uint32(f.size-sizePrefix))
	return nil
}

type fetchEncoder struct {
	*Frame
	version  int16
	flexible bool
}

func (e *fetchEncoder) int16(v int16) { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v)) }
func (e *fetchEncoder) int32(v int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *fetchEncoder) int64(v int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }
func (e *fetchEncoder) uvarint(v int) { e.buf = binary.AppendUvarint(e.buf, uint64(v)) }

// length is that of an array or of records: 4 bytes, or a varint of the length plus one. -1 is null.
func (e *fetchEncoder) length(n int) {
	if e.flexible {
		e.uvarint(n + 1)
		return
	}
	e.int32(int32(n))
}

func (e *fetchEncoder) noTags() {
	if e.flexible {
		e.buf = append(e.buf, 0)
	}
}

// string is a string; only compact ones occur in versions that are flexible.
func (e *fetchEncoder) string(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.int16(int16(len(s)))
	}
	e.buf = append(e.buf, s...)
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
		e.insert(p.Records)
	}
	if e.flexible {
		e.partitionTags(p)
	}
}

// The encoded sizes of what is inside a partition's tagged fields: an epoch or broker of 4 bytes, an offset of 8 or
// an epoch of 4, and the empty list of tagged fields of their own.
const (
	epochEndSize      = 4 + 8 + 1
	currentLeaderSize = 4 + 4 + 1
)

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
	if l := p.CurrentLeader; l != nil {
		e.uvarint(tagCurrentLeader)
		e.uvarint(currentLeaderSize)
		e.int32(int32(l.ID))
		e.int32(int32(l.Epoch))
		e.noTags()
	}
	if s := p.SnapshotID; s != nil { // offset first, unlike DivergingEpoch
		e.uvarint(tagSnapshotID)
		e.uvarint(epochEndSize)
		e.int64(int64(s.EndOffset))
		e.int32(int32(s.Epoch))
		e.noTags()
	}
}

// endpoints writes the tagged fields of the response, of which the endpoints are the only one.
func (e *fetchEncoder) endpoints(nodes []NodeEndpoint) {
	if !e.flexible {
		return
	}
	if e.version < fetchEndpoints || len(nodes) == 0 {
		e.noTags()
		return
	}
	e.uvarint(1)
	e.uvarint(tagEndpoints)
	e.uvarint(endpointsSize(nodes))
	e.length(len(nodes))
	for _, n := range nodes {
		e.int32(int32(n.ID))
		e.string(n.Host)
		e.int32(n.Port)
		if n.Rack == nil {
			e.length(-1)
		} else {
			e.string(*n.Rack)
		}
		e.noTags()
	}
}

func endpointsSize(nodes []NodeEndpoint) int {
	size := uvarintLen(len(nodes) + 1)
	for _, n := range nodes {
		size += 4 + uvarintLen(len(n.Host)+1) + len(n.Host) + 4 + 1
		if n.Rack == nil {
			size++
			continue
		}
		size += uvarintLen(len(*n.Rack)+1) + len(*n.Rack)
	}
	return size
}

func uvarintLen(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
