package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareOffsetsOf is about partition 0 of topics; of none: about all that the group has.
func shareOffsetsOf(group string, topics ...string) *kmsg.DescribeShareGroupOffsetsRequest {
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	g.GroupID = group
	for _, t := range topics {
		g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: t, Partitions: []int32{0}})
	}
	req.Groups = append(req.Groups, g)
	return req
}

func alterShare(group, topic string, partition int32, start int64) *kmsg.AlterShareGroupOffsetsRequest {
	req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	p := kmsg.AlterShareGroupOffsetsRequestTopicPartition{Partition: partition, StartOffset: start}
	req.GroupID, req.Topics = group, []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{p}}}
	return req
}

func deleteShare(group string, topics ...string) *kmsg.DeleteShareGroupOffsetsRequest {
	req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
	req.GroupID = group
	for _, t := range topics {
		req.Topics = append(req.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: t})
	}
	return req
}

func shareOffsets(a *asker) {
	topic, id := a.topic("t", 2)
	other, _ := a.topic("u", 1)
	a.quiet(produceRequest(topic, id, 0, newBatch(10).bytes()), 9)
	group := a.group("g")
	both := func(question string, make func() kmsg.Request) {
		a.each(question, 0, 1, func(int16) kmsg.Request { return make() })
	}
	// settled waits until offsets can be altered and deleted: in Kafka what follows from one such request goes on after its answer.
	settled := func(start int64) {
		a.until("the change is done", func() bool {
			got := a.quiet(shareOffsetsOf(group), 1).(*kmsg.DescribeShareGroupOffsetsResponse).Groups[0]
			for _, t := range got.Topics {
				for _, p := range t.Partitions {
					if t.Topic == topic && p.Partition == 0 && p.StartOffset == start {
						return true
					}
				}
			}
			return start < 0
		})
	}
	both("offsets of a group that does not exist", func() kmsg.Request { return shareOffsetsOf(group) })
	both("offsets of a topic of a group that does not exist", func() kmsg.Request { return shareOffsetsOf(group, topic, topic+"-none") })
	a.ask("deleting offsets of a group that does not exist", deleteShare(group, topic), 0)
	a.ask("altering offsets of a group that does not exist", alterShare(group, topic, 0, 3), 0)
	settled(3)
	both("all offsets", func() kmsg.Request { return shareOffsetsOf(group) })
	both("the offsets of topics", func() kmsg.Request { return shareOffsetsOf(group, topic, other, topic+"-none") })
	describe := a.quiet(shareDescribe(group), 1).(*kmsg.ShareGroupDescribeResponse)
	describe.Groups[0].GroupEpoch, describe.Groups[0].AssignmentEpoch = min(describe.Groups[0].GroupEpoch, 1), 0
	a.answered("the group", describe)
	a.ask("altering them again", alterShare(group, topic, 0, 7), 0)
	settled(7)
	both("all offsets then", func() kmsg.Request { return shareOffsetsOf(group) })
	a.ask("altering to beyond the end", alterShare(group, topic, 0, 1000), 0)
	settled(1000)
	both("all offsets beyond the end", func() kmsg.Request { return shareOffsetsOf(group) })
	a.ask("deleting offsets", deleteShare(group, topic, other, topic+"-none"), 0)
	a.ask("deleting offsets again", deleteShare(group, topic), 0)
	both("all offsets after deleting", func() kmsg.Request { return shareOffsetsOf(group) })
	both("the offsets of topics after deleting", func() kmsg.Request { return shareOffsetsOf(group, topic) })
	a.sharing(group, memberA, 2, topic)
	a.ask("altering offsets of a group with a member", alterShare(group, topic, 0, 3), 0)
	a.ask("deleting offsets of a group with a member", deleteShare(group, topic), 0)
	both("offsets of a group with a member", func() kmsg.Request { return shareOffsetsOf(group) })
}

func badShareOffsets(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	classic := a.classic("classic")
	for _, bad := range []struct{ what, group string }{{"an empty group", ""}, {"a group of another kind", classic}} {
		a.ask("describing offsets of "+bad.what, shareOffsetsOf(bad.group), 1)
		a.ask("altering offsets of "+bad.what, alterShare(bad.group, topic, 0, 3), 0)
		a.ask("deleting offsets of "+bad.what, deleteShare(bad.group, topic), 0)
	}
	a.ask("altering offsets of a topic that does not exist", alterShare(group, topic+"-none", 0, 3), 0)
	a.ask("altering offsets of a partition that does not exist", alterShare(group, topic, 9, 3), 0)
	a.ask("altering no offsets", &kmsg.AlterShareGroupOffsetsRequest{GroupID: a.group("h")}, 0)
	a.quiet(alterShare(group, topic, 0, 3), 0)
	a.ask("deleting no offsets", deleteShare(group), 0)
	a.ask("describing no groups", &kmsg.DescribeShareGroupOffsetsRequest{}, 1)
	none := shareOffsetsOf(group)
	none.Groups[0].Topics = []kmsg.DescribeShareGroupOffsetsRequestGroupTopic{}
	a.ask("describing no topics", none, 1)
}
