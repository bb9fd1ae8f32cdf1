package main

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func produceProbes() []probe {
	return []probe{
		{"produce/versions", produceVersions},
		{"produce/bad-request", produceBadRequest},
		{"produce/bad-batch", produceBadBatch},
		{"produce/topic-configs", produceConfigs},
		{"produce/timestamps", produceTimestamps},
	}
}

// produceRequest is one batch for one partition, by name and by ID, so that it fits every version.
func produceRequest(topic string, id [16]byte, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func produceVersions(a *asker) {
	name, id := a.topic("t", 1)
	a.each("two records, acks=all", 3, 13, func(int16) kmsg.Request { return produceRequest(name, id, 0, newBatch(2).bytes()) })
	a.each("one record, acks=1", 3, 13, func(int16) kmsg.Request {
		req := produceRequest(name, id, 0, newBatch(1).bytes())
		req.Acks = 1
		return req
	})
	a.each("a partition that does not exist", 3, 13, func(int16) kmsg.Request { return produceRequest(name, id, 9, newBatch(1).bytes()) })
	a.each("a topic that does not exist", 3, 13, func(int16) kmsg.Request {
		return produceRequest(a.topicName("none"), [16]byte{9, 9}, 0, newBatch(1).bytes())
	})
	a.each("a wrong CRC", 3, 13, func(int16) kmsg.Request {
		return produceRequest(name, id, 0, newBatch(1).with(func(b *batch) { b.crcXor = 1 }).bytes())
	})
}

func produceBadRequest(a *asker) {
	for _, v := range []int16{7, 12, 13} {
		name, id := a.topic("t"+string(rune('a'+v)), 20)
		next := int32(0) // each question has partitions of its own
		ask := func(question string, change func(*kmsg.ProduceRequest)) {
			req := produceRequest(name, id, next, newBatch(1).bytes())
			next += 2
			change(req)
			a.ask(question, req, v)
		}
		ask("acks=2", func(r *kmsg.ProduceRequest) { r.Acks = 2 })
		ask("acks=-2", func(r *kmsg.ProduceRequest) { r.Acks = -2 })
		ask("a negative timeout", func(r *kmsg.ProduceRequest) { r.TimeoutMillis = -1 })
		ask("no topics", func(r *kmsg.ProduceRequest) { r.Topics = nil })
		ask("a topic without partitions", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions = nil })
		ask("partition -1", func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = -1 })
		ask("the same partition twice", func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		})
		ask("two good partitions around one that is not there", func(r *kmsg.ProduceRequest) {
			bad, other := r.Topics[0].Partitions[0], r.Topics[0].Partitions[0]
			bad.Partition = 99
			other.Partition++
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, bad, other)
		})
	}
	name, id := a.topic("t", 1)
	req := produceRequest("no spaces", id, 0, newBatch(1).bytes())
	a.ask("a topic name that cannot be", req, 12)
	a.hangUp()
	a.ask("the zero topic ID", produceRequest(name, [16]byte{}, 0, newBatch(1).bytes()), 13)
}

func produceBadBatch(a *asker) {
	for _, v := range []int16{3, 8, 13} {
		cases := badBatches()
		name, id := a.topic("t"+string(rune('a'+v)), int32(len(cases)))
		for i, c := range cases { // each has a partition of its own, so that none depends on another
			a.ask(c.question, produceRequest(name, id, int32(i), c.bytes), v)
			stored := a.quiet(fetchRequest(name, id, int32(i), 0), 12).(*kmsg.FetchResponse)
			a.say("stored: %s", batches(stored.Topics[0].Partitions[0].RecordBatches))
		}
	}
}

type badBatch struct {
	question string
	bytes    []byte
}

// badBatches are all ways of being wrong that a header can show, and a few that only the records show. Null records are not among them:
// Kafka never answers those.
func badBatches() []badBatch {
	var all []badBatch
	add := func(question string, b []byte) { all = append(all, badBatch{question, b}) }
	with := func(question string, n int, edit func(*batch)) { add(question, newBatch(n).with(edit).bytes()) }
	header := func(question string, n int, edit func(*kmsg.RecordBatch)) {
		with(question, n, func(b *batch) { b.edit = edit })
	}
	mangled := func(question string, n int, mangle func([]byte) []byte) {
		with(question, n, func(b *batch) { b.mangle = mangle })
	}
	add("records of no bytes", []byte{})
	add("three bytes", []byte{1, 2, 3})
	with("a wrong CRC", 1, func(b *batch) { b.crcXor = 1 })
	mangled("a flipped bit in a record", 1, func(b []byte) []byte { b[len(b)-3] ^= 4; return b })
	with("magic 1", 1, func(b *batch) { b.magic = 1 })
	with("magic 0", 1, func(b *batch) { b.magic = 0 })
	with("magic 3", 1, func(b *batch) { b.magic = 3 })
	with("magic -1", 1, func(b *batch) { b.magic = -1 })
	add("two batches", bytes.Repeat(newBatch(1).bytes(), 2))
	mangled("cut short by a byte", 1, func(b []byte) []byte { return b[:len(b)-1] })
	mangled("cut within the header", 1, func(b []byte) []byte { return b[:40] })
	mangled("a byte too many", 1, func(b []byte) []byte { return append(b, 0) })
	mangled("a length of 0", 1, func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 0); return b })
	mangled("a negative length", 1, func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 0xffffffff); return b })
	mangled("a base offset that is not 0", 1, func(b []byte) []byte { binary.BigEndian.PutUint64(b, 5); return b })
	header("more records counted than the last offset delta says", 2, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 })
	header("fewer records than the last offset delta says", 2, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 })
	header("a negative last offset delta", 1, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -1 })
	header("no records counted", 1, func(b *kmsg.RecordBatch) { b.NumRecords = 0 })
	header("no records at all", 0, func(b *kmsg.RecordBatch) {})
	header("no records at all, last offset delta 0", 0, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 })
	header("more records counted than there are", 2, func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 3, 2 })
	header("fewer records counted than there are", 2, func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1, 0 })
	with("record offsets that do not rise", 2, func(b *batch) { b.records[1].OffsetDelta = 0 })
	with("a record with attributes", 1, func(b *batch) { b.records[0].Attributes = 1 })
	header("the control bit", 1, func(b *kmsg.RecordBatch) { b.Attributes = 0x20 })
	header("the transactional bit without a producer", 1, func(b *kmsg.RecordBatch) { b.Attributes = 0x10 })
	header("a codec that does not exist", 1, func(b *kmsg.RecordBatch) { b.Attributes = 7 })
	header("attributes of the future", 1, func(b *kmsg.RecordBatch) { b.Attributes = 0x100 })
	header("the log append time bit", 1, func(b *kmsg.RecordBatch) { b.Attributes = 0x08 })
	header("gzip that is none", 1, func(b *kmsg.RecordBatch) { b.Attributes = 1 })
	header("a producer ID without an epoch", 1, func(b *kmsg.RecordBatch) { b.ProducerID = 5 })
	header("a producer without a sequence", 1, func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch = 5, 0 })
	header("a negative producer ID", 1, func(b *kmsg.RecordBatch) { b.ProducerID = -2 })
	mangled("a leader epoch of its own", 1, func(b []byte) []byte { binary.BigEndian.PutUint32(b[12:], 9); return b })
	header("a maximum timestamp below the records'", 1, func(b *kmsg.RecordBatch) { b.MaxTimestamp -= 10_000 })
	header("a negative timestamp", 1, func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -5, -5 })
	header("no timestamp", 1, func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 })
	with("too large", 1, func(b *batch) { b.records[0].Value = make([]byte, 1_100_000) })
	return all
}

func produceConfigs(a *asker) {
	batchOf := func(size int) []byte {
		return newBatch(1).with(func(b *batch) { b.records[0].Value = bytes.Repeat([]byte("v"), size) }).bytes()
	}
	for _, v := range []int16{8, 13} {
		suffix := string(rune('a' + v))
		name, id := a.topic("small"+suffix, 1, "max.message.bytes", "1000")
		a.ask("within max.message.bytes", produceRequest(name, id, 0, batchOf(800)), v)
		a.ask("over max.message.bytes", produceRequest(name, id, 0, batchOf(1000)), v)
		name, id = a.topic("segment"+suffix, 1, "segment.bytes", "1048576", "max.message.bytes", "4000000")
		a.ask("over segment.bytes", produceRequest(name, id, 0, batchOf(1_100_000)), v)
		name, id = a.topic("compact"+suffix, 1, "cleanup.policy", "compact")
		a.ask("a compacted topic, with a key", produceRequest(name, id, 0, batchOf(1)), v)
		nokey := newBatch(3).with(func(b *batch) { b.records[1].Key = nil })
		a.ask("a compacted topic, the second of three without a key", produceRequest(name, id, 0, nokey.bytes()), v)
		name, id = a.topic("append"+suffix, 1, "message.timestamp.type", "LogAppendTime")
		a.ask("LogAppendTime", produceRequest(name, id, 0, newBatch(2).bytes()), v)
		a.ask("what LogAppendTime stored", fetchRequest(name, id, 0, 0), min(v+4, 17))
		for _, codec := range []string{"gzip", "uncompressed", "zstd"} {
			name, id = a.topic(codec+suffix, 1, "compression.type", codec)
			a.ask("compression.type="+codec, produceRequest(name, id, 0, newBatch(2).bytes()), v)
			a.ask("what compression.type="+codec+" stored", fetchRequest(name, id, 0, 0), min(v+4, 17))
		}
	}
}

func produceTimestamps(a *asker) {
	at := func(ms int64) []byte {
		return newBatch(1).with(func(b *batch) { b.FirstTimestamp, b.MaxTimestamp = ms, ms }).bytes()
	}
	now := time.Now().UnixMilli()
	const hour = 3_600_000
	for _, v := range []int16{7, 8, 13} {
		suffix := string(rune('a' + v))
		name, id := a.topic("t"+suffix, 1)
		a.ask("two hours ahead (message.timestamp.after.max.ms is one)", produceRequest(name, id, 0, at(now+2*hour)), v)
		a.ask("twenty years ago", produceRequest(name, id, 0, at(now-20*365*24*hour)), v)
		name, id = a.topic("b"+suffix, 1, "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000")
		a.ask("an hour ago, limit a second", produceRequest(name, id, 0, at(now-hour)), v)
		a.ask("in 20 minutes, limit a second", produceRequest(name, id, 0, at(now+hour/3)), v)
		two := newBatch(2).with(func(b *batch) { b.records[1].TimestampDelta64, b.MaxTimestamp = hour/3, now+hour/3 })
		a.ask("the second of two in 20 minutes", produceRequest(name, id, 0, two.bytes()), v)
	}
}
