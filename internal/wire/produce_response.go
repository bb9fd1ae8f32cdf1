package wire

import (
	"encoding/binary"

	"chronik/internal/model"
)

// ProduceResponse is a Produce response for the hot path: kmsg's compares by reflection and allocates for each
// partition. Fields that a version does not have are left out.
type ProduceResponse struct {
	Version    int16
	Topics     []ProduceResponseTopic
	ThrottleMs int32
	Endpoints  []NodeEndpoint // of the leaders named in CurrentLeader; version 10 and above
}

// ProduceResponseTopic is one topic: by Name up to version 12, by ID from 13 on.
type ProduceResponseTopic struct {
	Name       string
	ID         model.TopicID
	Partitions []ProduceResponsePartition
}

// ProduceResponsePartition is what became of the records for one partition.
type ProduceResponsePartition struct {
	Partition       int32
	ErrorCode       int16
	BaseOffset      model.Offset // model.NoOffset with an error
	LogAppendTimeMs int64        // record.NoTimestamp unless the topic has LogAppendTime
	LogStartOffset  model.Offset
	RecordErrors    []ProduceRecordError // version 8 and above (KIP-467)
	ErrorMessage    *string              // version 8 and above
	CurrentLeader   *CurrentLeader       // version 10 and above (KIP-951)
}

// ProduceRecordError names a record that made its batch be refused.
type ProduceRecordError struct {
	Index   int32 // in the batch
	Message *string
}

const (
	produceThrottle       = 1
	produceLogAppendTime  = 2
	produceLogStart       = 5
	produceRecordErrors   = 8
	produceLeaders        = 10
	tagProduceCurrentLead = 0
)

// AppendProduceResponse appends a whole response frame to dst, as AppendResponse does.
func AppendProduceResponse(dst []byte, correlationID int32, r *ProduceResponse) []byte {
	start := len(dst)
	e := produceEncoder{encoder: encoder{buf: dst, flexible: r.Version >= produceFlexible}, version: r.Version}
	e.header(correlationID)
	e.length(len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		if e.version >= produceTopicIDs {
			e.buf = append(e.buf, t.ID[:]...)
		} else {
			e.string(t.Name)
		}
		e.length(len(t.Partitions))
		for j := range t.Partitions {
			e.partition(&t.Partitions[j])
		}
		e.noTags()
	}
	if e.version >= produceThrottle {
		e.int32(r.ThrottleMs)
	}
	if e.version >= produceLeaders {
		e.endpoints(r.Endpoints)
	} else {
		e.noTags()
	}
	binary.BigEndian.PutUint32(e.buf[start:], uint32(len(e.buf)-start-sizePrefix))
	return e.buf
}

type produceEncoder struct {
	encoder
	version int16
}

func (e *produceEncoder) partition(p *ProduceResponsePartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(int64(p.BaseOffset))
	if e.version >= produceLogAppendTime {
		e.int64(p.LogAppendTimeMs)
	}
	if e.version >= produceLogStart {
		e.int64(int64(p.LogStartOffset))
	}
	if e.version >= produceRecordErrors {
		e.length(len(p.RecordErrors))
		for _, r := range p.RecordErrors {
			e.int32(r.Index)
			e.nullableString(r.Message)
			e.noTags()
		}
		e.nullableString(p.ErrorMessage)
	}
	if p.CurrentLeader == nil || e.version < produceLeaders {
		e.noTags()
		return
	}
	e.uvarint(1)
	e.currentLeader(tagProduceCurrentLead, p.CurrentLeader)
}
