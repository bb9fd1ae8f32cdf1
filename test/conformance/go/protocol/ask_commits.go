package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func commitProbes() []probe {
	return []probe{
		{"offsets/commit", commitOffsets},
		{"offsets/bad-commit", badCommits},
		{"offsets/fetch", fetchCommitted},
		{"offsets/delete", deleteOffsets},
	}
}

// commitRequest stores one offset, for no member.
func commitRequest(group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, offset, 7, kmsg.StringPtr("a note")
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// fetchOffsets has both the form for one group and the one for several.
func fetchOffsets(group, topic string, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	one := kmsg.NewOffsetFetchRequestTopic()
	one.Topic, one.Partitions = topic, partitions
	req.Topics = append(req.Topics, one)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions = topic, partitions
	g.Topics = append(g.Topics, t)
	req.Groups = append(req.Groups, g)
	return req
}

// fetchAll asks for whatever a group has.
func fetchAll(group string) *kmsg.OffsetFetchRequest {
	req := fetchOffsets(group, "")
	req.Topics, req.Groups[0].Topics = nil, nil
	return req
}

// own are the groups of this run of this probe.
func (a *asker) own(all []kmsg.ListGroupsResponseGroup) []kmsg.ListGroupsResponseGroup {
	return slices.DeleteFunc(all, func(g kmsg.ListGroupsResponseGroup) bool {
		return !strings.HasPrefix(g.Group, "p-groups-list-") || !strings.HasSuffix(g.Group, a.tag)
	})
}

func commitOffsets(a *asker) {
	topic, id := a.topic("t", 2)
	group, joined := a.member("g")
	for v := int16(2); v <= 10; v++ {
		simple := a.group(fmt.Sprint("simple", v))
		commit := func(question, group, member string, generation int32) {
			req := commitRequest(group, topic, 1, 100+int64(v))
			req.Topics[0].TopicID, req.MemberID, req.Generation = id, member, generation
			a.ask(question, req, v)
		}
		fetched := func(group string) {
			for _, fv := range []int16{1, 4, 5, 7, 8, 10} {
				req := fetchOffsets(group, topic, 1, 0)
				req.Groups[0].Topics[0].TopicID = id
				a.ask(fmt.Sprintf("what was committed to %s, version %d", strings.ReplaceAll(group, a.tag, ""), v), req, fv)
			}
		}
		commit("by nobody", simple, "", -1)
		fetched(simple)
		commit("by the member", group, joined.MemberID, joined.Generation)
		commit("by the member, of another generation", group, joined.MemberID, joined.Generation+1)
		commit("by another member", group, "nobody", joined.Generation)
		commit("by nobody to a group with members", group, "", -1)
		commit("by a member of a group that has none", simple, "m", 1)
		commit("by a member of a group that does not exist", a.group("none"), "m", 1)
	}
}

func badCommits(a *asker) {
	topic, id := a.topic("t", 1)
	group := a.group("g")
	for v := int16(2); v <= 10; v++ {
		ask := func(question string, change func(*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitRequestTopicPartition)) {
			req := commitRequest(group, topic, 0, 5)
			req.Topics[0].TopicID = id
			change(req, &req.Topics[0].Partitions[0])
			a.ask(question, req, v)
		}
		ask("a partition that does not exist", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) { p.Partition = 9 })
		ask("a negative partition", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) { p.Partition = -1 })
		ask("a topic that does not exist", func(r *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitRequestTopicPartition) {
			r.Topics[0].Topic, r.Topics[0].TopicID = a.topicName("none"), [16]byte{1}
		})
		ask("a note too long", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) {
			p.Metadata = kmsg.StringPtr(strings.Repeat("x", 4097))
		})
		ask("a note just not too long", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) {
			p.Metadata = kmsg.StringPtr(strings.Repeat("ä", 4096))
		})
		ask("no note", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) { p.Metadata = nil })
		ask("an empty group ID", func(r *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitRequestTopicPartition) { r.Group = "" })
		ask("no topics", func(r *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitRequestTopicPartition) { r.Topics = nil })
		ask("no partitions", func(r *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitRequestTopicPartition) {
			r.Topics[0].Partitions = nil
		})
		ask("a negative offset", func(_ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition) { p.Offset = -5 })
	}
	a.each("what is left", 1, 7, func(int16) kmsg.Request { return fetchOffsets(group, topic, 0) })
	nameless := kmsg.NewPtrDeleteGroupsRequest()
	nameless.Groups = []string{""}
	a.quiet(nameless, 2)
}

func fetchCommitted(a *asker) {
	topic, id := a.topic("t", 2)
	other, otherID := a.topic("u", 1)
	full, empty := a.group("full"), a.group("empty")
	a.quiet(commitRequest(full, topic, 1, 5), 8)
	a.quiet(commitRequest(full, other, 0, 6), 8)
	a.quiet(commitRequest(empty, other, 0, 7), 8)
	ask := func(question string, from, to int16, req func() *kmsg.OffsetFetchRequest) {
		a.each(question, from, to, func(v int16) kmsg.Request {
			r := req()
			r.RequireStable = v >= 9
			for i := range r.Groups {
				for j := range r.Groups[i].Topics {
					switch t := &r.Groups[i].Topics[j]; t.Topic {
					case topic:
						t.TopicID = id
					case other:
						t.TopicID = otherID
					default:
						t.TopicID = [16]byte{1}
					}
				}
			}
			return r
		})
	}
	ask("one that is there and others that are not", 1, 10, func() *kmsg.OffsetFetchRequest { return fetchOffsets(full, topic, 1, 0, 9, -1) })
	ask("a topic that does not exist", 1, 10, func() *kmsg.OffsetFetchRequest { return fetchOffsets(full, a.topicName("none"), 0) })
	ask("a group that does not exist", 1, 10, func() *kmsg.OffsetFetchRequest { return fetchOffsets(a.group("none"), topic, 0) })
	ask("an empty group ID", 1, 10, func() *kmsg.OffsetFetchRequest { return fetchOffsets("", topic, 0) })
	ask("no partitions", 1, 10, func() *kmsg.OffsetFetchRequest { return fetchOffsets(full, topic) })
	ask("all", 2, 10, func() *kmsg.OffsetFetchRequest { return fetchAll(full) })
	ask("all of a group that does not exist", 2, 10, func() *kmsg.OffsetFetchRequest { return fetchAll(a.group("none")) })
	ask("nothing", 1, 10, func() *kmsg.OffsetFetchRequest {
		req := fetchAll(full)
		req.Topics, req.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
		return req
	})
	ask("of several groups", 8, 10, func() *kmsg.OffsetFetchRequest {
		req := fetchOffsets(full, topic, 1)
		req.Groups = append(req.Groups, fetchAll(empty).Groups[0], fetchOffsets(a.group("none"), other, 0).Groups[0])
		return req
	})
	ask("of no groups", 8, 10, func() *kmsg.OffsetFetchRequest {
		req := kmsg.NewPtrOffsetFetchRequest()
		return req
	})
}

func deleteOffsets(a *asker) {
	topic, _ := a.topic("t", 3)
	ask := func(question, group string, topics ...string) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, name := range topics {
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic = name
			for _, n := range []int32{0, 1, 9} {
				t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: n})
			}
			req.Topics = append(req.Topics, t)
		}
		a.ask(question, req, 0)
	}
	simple := a.group("simple")
	a.quiet(commitRequest(simple, topic, 0, 5), 8)
	a.quiet(commitRequest(simple, topic, 2, 5), 8)
	ask("an offset that is there and others that are not", simple, topic)
	ask("of a topic that does not exist", simple, a.topicName("none"))
	ask("of a topic that exists and one that does not", simple, topic, a.topicName("none"))
	ask("of no topics", simple)
	ask("of a group that does not exist", a.group("nobody"), topic)
	ask("of a group that does not exist and a topic that does not", a.group("nobody"), topic, a.topicName("none"))
	ask("of an empty group ID", "", topic)
	a.ask("what is left", fetchOffsets(simple, topic, 0, 1, 2), 7)
	group, joined := a.member("subscribed")
	req := joinRequest(group, joined.MemberID)
	for i := range req.Protocols {
		req.Protocols[i].Metadata = subscription(topic, "")
	}
	a.quiet(req, 3)
	a.quiet(assigning(syncRequest(group, joined.MemberID, 2), joined.MemberID), 3)
	commit := commitRequest(group, topic, 0, 5)
	commit.MemberID, commit.Generation = joined.MemberID, 2
	a.quiet(commit, 8)
	ask("of a group that is subscribed", group, topic)
	other, _ := a.topic("u", 3)
	ask("of a topic that the group is not subscribed to", group, other)
}
