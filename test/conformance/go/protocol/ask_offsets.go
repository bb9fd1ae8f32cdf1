package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func offsetProbes() []probe {
	return []probe{{"list-offsets", listOffsets}, {"offset-for-leader-epoch", leaderEpochs}}
}

func listOffsetsRequest(topic string, partition int32, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch, p.MaxNumOffsets = partition, timestamp, -1, 1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func listOffsets(a *asker) {
	name, id := a.topic("t", 2, "retention.ms", "-1")
	const base = 1_700_000_000_000
	for _, ms := range []int64{base, base + 5000, base + 2000, base + 9000, base + 9000} {
		b := newBatch(2).with(func(b *batch) {
			b.FirstTimestamp, b.MaxTimestamp = ms, ms+10
			b.records[1].TimestampDelta64 = 10
		})
		a.quiet(produceRequest(name, id, 0, b.bytes()), 12)
	}
	for _, ask := range []struct {
		question string
		at       int64
	}{
		{"latest", -1}, {"earliest", -2}, {"max timestamp", -3}, {"earliest local", -4}, {"latest tiered", -5}, {"earliest pending upload", -6},
		{"a special that does not exist", -7}, {"time 0", 0}, {"the first record's time", base}, {"just after the first", base + 1},
		{"within the second batch", base + 5001}, {"a time that comes out of order", base + 2000}, {"the last time", base + 9010},
		{"after the last", base + 9011}, {"now", time.Now().UnixMilli()},
	} {
		a.each(ask.question, 1, 11, func(int16) kmsg.Request { return listOffsetsRequest(name, 0, ask.at) })
	}
	for _, at := range []int64{-1, -2, -3, 0} {
		a.ask(fmt.Sprintf("an empty partition, %d", at), listOffsetsRequest(name, 1, at), 7)
	}
	a.each("a partition that does not exist", 1, 11, func(int16) kmsg.Request { return listOffsetsRequest(name, 9, -1) })
	a.each("a topic that does not exist", 1, 11, func(int16) kmsg.Request { return listOffsetsRequest(a.topicName("none"), 0, -1) })
	for _, v := range []int16{4, 7, 11} {
		for _, epoch := range []int32{0, 1, 100} {
			req := listOffsetsRequest(name, 0, -1)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			a.ask(fmt.Sprintf("current leader epoch %d", epoch), req, v)
		}
		req := listOffsetsRequest(name, 0, -1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		a.ask("the same partition twice", req, v)
		req = listOffsetsRequest(name, 0, -1)
		req.IsolationLevel = 1
		a.ask("read committed", req, v)
		a.ask("a name that cannot be", listOffsetsRequest("no spaces", 0, -1), v)
	}
}

func leaderEpochs(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 3)
	ask := func(topic string, partition, current, epoch int32) func(int16) kmsg.Request {
		return func(int16) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = topic
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = partition, current, epoch
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return req
		}
	}
	a.each("the current epoch", 2, 4, ask(name, 0, -1, 0))
	a.each("an epoch to come", 2, 4, ask(name, 0, -1, 5))
	a.each("epoch -1", 2, 4, ask(name, 0, -1, -1))
	a.each("the right current epoch", 2, 4, ask(name, 0, 0, 0))
	a.each("a current epoch to come", 2, 4, ask(name, 0, 5, 0))
	a.each("a partition that does not exist", 2, 4, ask(name, 9, -1, 0))
	a.each("a topic that does not exist", 2, 4, ask(a.topicName("none"), 0, -1, 0))
}
