package main

import (
	"encoding/base64"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// aShare is a share partition that the asked broker coordinates.
type aShare struct {
	group     string
	topic     [16]byte
	partition int32
}

// share is a share partition of this probe's whose coordinator is the asked broker, and ready. Others coordinate others: a group has as many tags at its end
// as it takes.
func (a *asker) share(purpose string, topic [16]byte, partition int32) aShare {
	s := aShare{a.topicName(purpose), topic, partition}
	key := func() string {
		return fmt.Sprintf("%s:%s:%d", s.group, base64.RawURLEncoding.EncodeToString(topic[:]), partition)
	}
	for node := a.node(); a.coordinated(2, key()) != node; {
		s.group += a.tag
	}
	a.until("its coordinator serves "+key(), func() bool {
		got := a.quiet(s.summary(), 1).(*kmsg.ReadShareGroupStateSummaryResponse)
		switch errorName(got.Topics[0].Partitions[0].ErrorCode) {
		case "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE":
			return false
		}
		return true
	})
	return s
}

func (s aShare) begin(epoch int32, start int64) *kmsg.InitializeShareGroupStateRequest {
	req := kmsg.NewPtrInitializeShareGroupStateRequest()
	p := kmsg.InitializeShareGroupStateRequestTopicPartition{Partition: s.partition, StateEpoch: epoch, StartOffset: start}
	req.GroupID = s.group
	req.Topics = []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: s.topic, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{p}}}
	return req
}

func (s aShare) read(leaderEpoch int32) *kmsg.ReadShareGroupStateRequest {
	req := kmsg.NewPtrReadShareGroupStateRequest()
	p := kmsg.ReadShareGroupStateRequestTopicPartition{Partition: s.partition, LeaderEpoch: leaderEpoch}
	req.GroupID = s.group
	req.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: s.topic, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{p}}}
	return req
}

// write has batches as first, last, state, deliveries.
func (s aShare) write(stateEpoch, leaderEpoch int32, start int64, batches ...[4]int64) *kmsg.WriteShareGroupStateRequest {
	req := kmsg.NewPtrWriteShareGroupStateRequest()
	p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
	p.Partition, p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount = s.partition, stateEpoch, leaderEpoch, start, 3
	for _, b := range batches {
		sb := kmsg.NewWriteShareGroupStateRequestTopicPartitionStateBatch()
		sb.FirstOffset, sb.LastOffset, sb.DeliveryState, sb.DeliveryCount = b[0], b[1], int8(b[2]), int16(b[3])
		p.StateBatches = append(p.StateBatches, sb)
	}
	req.GroupID = s.group
	req.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: s.topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}}}
	return req
}

func (s aShare) summary() *kmsg.ReadShareGroupStateSummaryRequest {
	req := kmsg.NewPtrReadShareGroupStateSummaryRequest()
	p := kmsg.NewReadShareGroupStateSummaryRequestTopicPartition()
	p.Partition = s.partition
	req.GroupID = s.group
	req.Topics = []kmsg.ReadShareGroupStateSummaryRequestTopic{{TopicID: s.topic, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{p}}}
	return req
}

func (s aShare) delete() *kmsg.DeleteShareGroupStateRequest {
	req := kmsg.NewPtrDeleteShareGroupStateRequest()
	p := kmsg.DeleteShareGroupStateRequestTopicPartition{Partition: s.partition}
	req.GroupID = s.group
	req.Topics = []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: s.topic, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{p}}}
	return req
}

func shareState(a *asker) {
	_, id := a.topic("t", 1)
	s := a.share("g", id, 0)
	a.ask("reading what has not begun", s.read(0), 0)
	a.ask("writing to what has not begun", s.write(0, 0, 5), 1)
	a.each("a summary of what has not begun", 0, 1, func(int16) kmsg.Request { return s.summary() })
	a.ask("deleting what has not begun", s.delete(), 0)
	a.ask("beginning", s.begin(1, -1), 0)
	a.each("a summary of what has begun", 0, 1, func(int16) kmsg.Request { return s.summary() })
	a.ask("reading what has begun", s.read(3), 0)
	a.ask("writing a start and a batch", s.write(1, 3, 5, [4]int64{5, 9, 2, 1}), 1)
	a.ask("reading it", s.read(3), 0)
	a.ask("writing that overlaps", s.write(1, 3, 5, [4]int64{8, 12, 0, 1}, [4]int64{13, 14, 4, 2}), 0)
	a.ask("reading what overlaps", s.read(3), 0)
	a.each("a summary of what was written", 0, 1, func(int16) kmsg.Request { return s.summary() })
	a.ask("writing a larger start", s.write(1, 3, 9), 1)
	a.ask("reading after a larger start", s.read(3), 0)
	a.ask("writing a smaller start", s.write(1, 3, 2), 1)
	a.ask("reading after a smaller start", s.read(3), 0)
	a.ask("writing of an earlier leader", s.write(1, 2, 10), 1)
	a.ask("writing of a later leader", s.write(1, 4, 11), 1)
	a.ask("reading of an earlier leader", s.read(2), 0)
	a.ask("reading of a later leader", s.read(6), 0)
	a.ask("writing of the leader before", s.write(1, 3, 12), 1)
	a.ask("writing in an earlier state epoch", s.write(0, 6, 12), 1)
	a.ask("writing in a later state epoch", s.write(2, 6, 12), 1)
	a.ask("writing in any epoch", s.write(-1, -1, 13), 1)
	a.ask("reading of nobody", s.read(-1), 0)
	a.ask("beginning in an earlier state epoch", s.begin(0, 1), 0)
	a.ask("beginning in the same state epoch", s.begin(1, 20), 0)
	a.ask("reading what has begun anew", s.read(6), 0)
	a.ask("beginning in a later state epoch", s.begin(5, 7), 0)
	a.ask("reading what has begun in a later epoch", s.read(6), 0)
	a.ask("deleting", s.delete(), 0)
	a.ask("deleting again", s.delete(), 0)
	a.ask("reading what was deleted", s.read(6), 0)
	a.ask("writing to what was deleted", s.write(5, 6, 8), 1)
	a.ask("a summary of what was deleted", s.summary(), 1)
}

func badShareState(a *asker) {
	_, id := a.topic("t", 1)
	for _, bad := range []struct {
		what string
		of   aShare
	}{
		{"a partition that does not exist", a.share("g", id, 9)},
		{"a negative partition", a.share("g", id, -1)},
		{"a topic that does not exist", a.share("g", [16]byte{1}, 0)},
		{"an empty group", aShare{"", id, 0}},
	} {
		a.ask("beginning with "+bad.what, bad.of.begin(1, 0), 0)
		a.ask("reading "+bad.what, bad.of.read(0), 0)
		a.ask("writing to "+bad.what, bad.of.write(1, 0, 5), 1)
		a.ask("a summary of "+bad.what, bad.of.summary(), 1)
		a.ask("deleting "+bad.what, bad.of.delete(), 0)
	}
	a.ask("beginning with no topics", &kmsg.InitializeShareGroupStateRequest{GroupID: "g"}, 0)
	a.ask("reading no topics", &kmsg.ReadShareGroupStateRequest{GroupID: "g"}, 0)
	a.ask("writing to no topics", &kmsg.WriteShareGroupStateRequest{GroupID: "g"}, 1)
	a.ask("a summary of no topics", &kmsg.ReadShareGroupStateSummaryRequest{GroupID: "g"}, 1)
	a.ask("deleting no topics", &kmsg.DeleteShareGroupStateRequest{GroupID: "g"}, 0)
	read := kmsg.NewPtrReadShareGroupStateRequest()
	read.GroupID, read.Topics = "g", []kmsg.ReadShareGroupStateRequestTopic{{TopicID: id}}
	a.ask("reading no partitions", read, 0)
}
