package wire

import (
	"fmt"

	"chronik/internal/model"
)

// ProduceRequest is a Produce request decoded for the hot path: records alias the frame, names are interned, and the
// memory is used again by the next Decode.
type ProduceRequest struct {
	Version         int16
	Acks            int16
	TimeoutMs       int32
	TransactionalID string
	IsTransactional bool // TransactionalID was not null
	Topics          []ProduceTopic

	partitions []ProducePartition // what Topics point into
}

// ProduceTopic is one topic: by Name up to version 12, by ID from 13 on.
type ProduceTopic struct {
	Name       string
	ID         model.TopicID
	Partitions []ProducePartition
}

// ProducePartition is what is produced to one partition.
type ProducePartition struct {
	Partition int32
	Records   []byte // nil is null. It aliases the frame.
}

const (
	produceMaxVersion    = 13
	produceTransactional = 3
	produceFlexible      = 9
	produceTopicIDs      = 13
	// produceKeep is the most partitions whose memory Reset keeps.
	produceKeep = 1024
)

// Reset forgets the request, so that the frame is not kept alive by it.
func (p *ProduceRequest) Reset() {
	topics, partitions := p.Topics[:0], p.partitions[:0]
	clear(p.Topics)
	clear(p.partitions)
	if cap(topics) > produceKeep || cap(partitions) > produceKeep {
		topics, partitions = nil, nil
	}
	*p = ProduceRequest{Topics: topics, partitions: partitions}
}

// Decode decodes the body of a Produce request of any version, also of those below ProduceMinWorking, which have to be
// answered. Errors wrap ErrMalformed or ErrUnsupportedVersion, and leave the request empty.
func (p *ProduceRequest) Decode(version int16, body []byte, in *Interner) error {
	p.Reset()
	if version < 0 || version > produceMaxVersion {
		return fmt.Errorf("%w: Produce version %d, supported are 0 to %d", ErrUnsupportedVersion, version, produceMaxVersion)
	}
	p.Version = version
	d := produceDecoder{reader: reader{buf: body}, version: version, flexible: version >= produceFlexible, in: in}
	if version >= produceTransactional {
		p.TransactionalID, p.IsTransactional = d.nullableString()
	}
	p.Acks, p.TimeoutMs = d.int16(), d.int32()
	for range d.arrayLen() {
		d.topic(p)
		if d.bad {
			break
		}
	}
	d.tags()
	if d.bad {
		p.Reset()
		return fmt.Errorf("%w: Produce version %d: its %d bytes end early, or a length in them is impossible", ErrMalformed, version, len(body))
	}
	return nil
}

type produceDecoder struct {
	reader
	version  int16
	flexible bool
	in       *Interner
}

// arrayLen is the length of an array; null, which Kafka does not allow here, is a failure. Memory is only ever taken
// for elements that were read, so a length needs no other bound.
func (d *produceDecoder) arrayLen() int {
	var n int
	if d.flexible {
		n = d.compactLen()
	} else {
		n = int(d.int32())
	}
	if n < 0 {
		d.fail()
		return 0
	}
	return n
}

func (d *produceDecoder) stringLen() int {
	if d.flexible {
		return d.compactLen()
	}
	return int(d.int16())
}

func (d *produceDecoder) nullableString() (s string, present bool) {
	n := d.stringLen()
	if n == -1 || d.bad {
		return "", false
	}
	return d.in.String(d.span(n)), true
}

func (d *produceDecoder) nullableBytes() []byte {
	var n int
	if d.flexible {
		n = d.compactLen()
	} else {
		n = int(d.int32())
	}
	if n == -1 {
		return nil
	}
	return d.span(n)
}

func (d *produceDecoder) tags() {
	if d.flexible {
		d.skipTags()
	}
}

func (d *produceDecoder) topic(p *ProduceRequest) {
	var t ProduceTopic
	if d.version >= produceTopicIDs {
		copy(t.ID[:], d.span(len(t.ID)))
	} else {
		t.Name = d.in.String(d.span(d.stringLen()))
	}
	start := len(p.partitions)
	for range d.arrayLen() {
		part := ProducePartition{Partition: d.int32(), Records: d.nullableBytes()}
		d.tags()
		if d.bad {
			return
		}
		p.partitions = append(p.partitions, part)
	}
	d.tags()
	end := len(p.partitions)
	t.Partitions = p.partitions[start:end:end]
	p.Topics = append(p.Topics, t)
}
