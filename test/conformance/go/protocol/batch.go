package main

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A batch is a record batch of magic 2 that can be made wrong field by field.
type batch struct {
	kmsg.RecordBatch
	records []kmsg.Record
	magic   int8
	crcXor  uint32                  // spoils the CRC
	mangle  func(b []byte) []byte   // spoils anything, after the CRC
	edit    func(*kmsg.RecordBatch) // changes header fields, before the CRC
}

// newBatch has n records with the keys k0, k1, ... and timestamps of now, without a producer.
func newBatch(n int) *batch {
	b := &batch{magic: 2}
	now := time.Now().UnixMilli()
	b.RecordBatch = kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, LastOffsetDelta: int32(n - 1), FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n),
	}
	for i := range n {
		b.records = append(b.records, kmsg.Record{OffsetDelta: int32(i), Key: []byte{'k', byte('0' + i%10)}, Value: []byte("value")})
	}
	return b
}

// from makes the batch an idempotent producer's.
func (b *batch) from(id int64, epoch int16, sequence int32) *batch {
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, sequence
	return b
}

func (b *batch) with(edit func(*batch)) *batch {
	edit(b)
	return b
}

// bytes encodes the batch: records first, then the header with its length and CRC.
func (b *batch) bytes() []byte {
	rb := b.RecordBatch
	rb.Magic = b.magic
	rb.Records = nil
	for i := range b.records {
		r := b.records[i]
		body := r.AppendTo(nil)[1:] // the length in front of a zero Length field is one byte
		r.Length = int32(len(body))
		rb.Records = append(rb.Records, r.AppendTo(nil)...)
	}
	if b.edit != nil {
		b.edit(&rb)
	}
	out := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli))^b.crcXor)
	if b.mangle != nil {
		out = b.mangle(out)
	}
	return out
}
