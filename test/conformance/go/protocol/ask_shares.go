package main

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func shareProbes() []probe {
	return []probe{
		{"shares/members", shareMembers},
		{"shares/bad-members", badShareMembers},
		{"shares/describe", describeShares},
		{"shares/other-groups", otherGroups},
		{"shares/state", shareState},
		{"shares/bad-state", badShareState},
		{"shares/offsets", shareOffsets},
		{"shares/bad-offsets", badShareOffsets},
	}
}

const (
	memberA = "AAAAAAAAAAAAAAAAAAAAAA"
	memberB = "BBBBBBBBBBBBBBBBBBBBBB"
)

func shareBeat(group, member string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatRequest {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = group, member, epoch, topics
	return req
}

// sharing waits until a member has so many partitions, and returns its last answer: they have to begin first. A member that asks as if it were new is told everything.
func (a *asker) sharing(group, member string, partitions int, topics ...string) (got *kmsg.ShareGroupHeartbeatResponse) {
	a.until(fmt.Sprintf("%s of %s has %d partitions", member, group, partitions), func() bool {
		got = a.quiet(shareBeat(group, member, 0, topics...), 1).(*kmsg.ShareGroupHeartbeatResponse)
		n := 0
		if got.Assignment != nil {
			for _, t := range got.Assignment.TopicPartitions {
				n += len(t.Partitions)
			}
		}
		return got.ErrorCode == 0 && n == partitions
	})
	return got
}

// shareMember is the only member of a new share group, which has all of its topic.
func (a *asker) shareMember(purpose, topic string, partitions int) (group string, epoch int32) {
	group = a.group(purpose)
	return group, a.sharing(group, memberA, partitions, topic).MemberEpoch
}

func shareMembers(a *asker) {
	topic, _ := a.topic("t", 2)
	other, _ := a.topic("u", 1)
	group, epoch := a.shareMember("g", topic, 2)
	beat := func(question, member string, epoch int32, topics ...string) {
		got := a.quiet(shareBeat(group, member, epoch, topics...), 1).(*kmsg.ShareGroupHeartbeatResponse)
		if got.MemberEpoch == epoch && epoch > 0 {
			got.MemberEpoch = 0 // how many epochs it takes until partitions have begun is a matter of time
			question += ": it keeps its epoch"
		}
		a.answered(question, got)
	}
	beat("a heartbeat without news", memberA, epoch)
	beat("a heartbeat with the same topics", memberA, epoch, topic)
	beat("a heartbeat of an epoch to come", memberA, epoch+5)
	beat("nobody's heartbeat", memberB, epoch)
	beat("a heartbeat with a rack that is empty", memberA, epoch)
	epoch = a.sharing(group, memberA, 3, topic, other).MemberEpoch
	beat("with two topics", memberA, epoch)
	second := a.sharing(group, memberB, 1, other)
	a.question("the second member")
	a.say("%d topics", len(second.Assignment.TopicPartitions))
	a.ask("leaving", shareBeat(group, memberA, -1), 1)
	a.ask("leaving again", shareBeat(group, memberA, -1), 1)
	a.ask("a heartbeat after leaving", shareBeat(group, memberA, epoch), 1)
	a.sharing(group, memberB, 1, other)
	a.ask("the last one leaves", shareBeat(group, memberB, -1), 1)
	a.ask("a heartbeat of an empty group", shareBeat(group, memberB, 1), 1)
}

func badShareMembers(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	long := "0123456789012345678901234567890123456"
	a.ask("an empty group", shareBeat("", memberA, 0, topic), 1)
	a.ask("an empty member", shareBeat(group, "", 0, topic), 1)
	a.ask("a member of 37 characters", shareBeat(group, long, 0, topic), 1)
	a.ask("joining without topics", shareBeat(group, memberA, 0), 1)
	req := shareBeat(group, memberA, 0)
	req.SubscribedTopicNames = []string{}
	a.ask("joining with no topics", req, 1)
	req = shareBeat(group, memberA, 0, topic)
	req.RackID = new(string)
	a.ask("an empty rack", req, 1)
	a.ask("epoch -2", shareBeat(group, memberA, -2, topic), 1)
	a.ask("a group that does not exist", shareBeat(group, memberA, 1, topic), 1)
	a.ask("leaving a group that does not exist", shareBeat(group, memberA, -1), 1)
	a.ask("a member of 36 characters, a topic that does not exist", shareBeat(group, long[:36], 0, topic+"-none"), 1)
}

func shareDescribe(groups ...string) *kmsg.ShareGroupDescribeRequest {
	req := kmsg.NewPtrShareGroupDescribeRequest()
	req.GroupIDs = groups
	return req
}

func describeShares(a *asker) {
	topic, _ := a.topic("t", 2)
	group, _ := a.shareMember("g", topic, 2)
	ask := func(question string, authorized bool, groups ...string) {
		req := shareDescribe(groups...)
		req.IncludeAuthorizedOperations = authorized
		got := a.quiet(req, 1).(*kmsg.ShareGroupDescribeResponse)
		for i := range got.Groups {
			g := &got.Groups[i]
			g.GroupEpoch, g.AssignmentEpoch = min(g.GroupEpoch, 1), min(g.AssignmentEpoch, 1)
			for j := range g.Members {
				g.Members[j].MemberEpoch, g.Members[j].ClientHost = min(g.Members[j].MemberEpoch, 1), ""
			}
		}
		a.answered(question, got)
	}
	ask("a group with a member", false, group)
	ask("a group with a member, and what may be done to it", true, group)
	a.quiet(shareBeat(group, memberA, -1), 1)
	ask("an empty group", false, group)
	ask("a group that does not exist", false, a.group("none"))
	ask("an empty group ID", false, "")
	ask("a group of another kind", false, a.classic("classic"))
	ask("no groups", false)
	ask("two groups", false, group, a.group("none"))
}

// classic is a classic group with a member.
func (a *asker) classic(purpose string) string {
	group, _ := a.member(purpose)
	return group
}

// otherGroups: what is for groups of another kind is asked of share groups, and the other way around.
func otherGroups(a *asker) {
	topic, _ := a.topic("t", 1)
	group, epoch := a.shareMember("g", topic, 1)
	a.ask("a classic member joins", joinRequest(group, ""), 3)
	a.ask("a classic heartbeat", heartbeatRequest(group, memberA, epoch), 4)
	consumer := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	consumer.Group, consumer.MemberID, consumer.SubscribedTopicNames, consumer.Topics = group, memberB, []string{topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	consumer.RebalanceTimeoutMillis = 1000
	a.ask("a consumer joins", consumer, 1)
	a.ask("committing as nobody", commitRequest(group, topic, 0, 5), 8)
	a.ask("offsets", fetchOffsets(group, topic, 0), 8)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{group}
	a.ask("describing it as a classic group", describe, 6)
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{group}
	a.ask("deleting it", del, 2)
	a.ask("a member of a share group joins a classic one", shareBeat(a.classic("classic"), memberA, 0, topic), 1)
	list := func(question string) {
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter = []string{"share"}
		resp := a.quiet(req, 5).(*kmsg.ListGroupsResponse)
		resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return g.Group != group })
		a.answered(question, resp)
	}
	list("share groups")
	a.quiet(shareBeat(group, memberA, -1), 1)
	list("share groups, when it is empty")
	a.ask("deleting it when it is empty", del, 2)
	a.ask("deleting it again", del, 2)
	list("share groups, when it is deleted")
}
