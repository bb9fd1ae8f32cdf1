package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func groupConfigProbes() []probe {
	return []probe{
		{"group-configs/describe", describeGroupConfigs},
		{"group-configs/alter", alterGroupConfigs},
		{"group-configs/replace", replaceGroupConfigs},
		{"group-configs/effect", groupConfigEffect},
		{"groups/member-epochs", memberEpochs},
	}
}

const onGroup = kmsg.ConfigResourceTypeGroupConfig

func describeGroupConfigs(a *asker) {
	name := a.topicName("g")
	a.keys("a group's key", describeRequest(onGroup, name), nil)
	a.quiet(incrementalRequest(onGroup, name, change{set, "consumer.session.timeout.ms", ptr("50000")}, change{set, "share.auto.offset.reset", ptr("earliest")}), 1)
	a.value(onGroup, name, "consumer.session.timeout.ms", "50000")
	a.value(onGroup, name, "share.auto.offset.reset", "earliest")
	for v := int16(1); v <= 4; v++ {
		req := describeRequest(onGroup, name, "consumer.session.timeout.ms", "share.auto.offset.reset", "streams.num.standby.replicas")
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		a.ask("three keys, two of which are set", req, v)
	}
	a.ask("no name", describeRequest(onGroup, ""), 4)
	a.ask("a key that does not exist", describeRequest(onGroup, name, "no.such.key"), 4)
	list := kmsg.NewPtrListConfigResourcesRequest()
	list.ResourceTypes = []int8{int8(onGroup)}
	listed := func() (found bool) {
		for _, r := range a.quiet(list, 1).(*kmsg.ListConfigResourcesResponse).ConfigResources {
			found = found || r.Name == name && r.Type == int8(onGroup)
		}
		return found
	}
	a.until("the group is listed", listed)
	a.quiet(incrementalRequest(onGroup, name, change{remove, "consumer.session.timeout.ms", nil}, change{remove, "share.auto.offset.reset", nil}), 1)
	a.until("the group is listed no more", func() bool { return !listed() })
}

// groupValues are good and bad, one by one.
var groupValues = []struct{ key, value string }{
	{"consumer.session.timeout.ms", "45000"}, {"consumer.session.timeout.ms", "44999"}, {"consumer.session.timeout.ms", "60000"},
	{"consumer.session.timeout.ms", "60001"}, {"consumer.session.timeout.ms", "many"}, {"consumer.session.timeout.ms", "0"},
	{"consumer.heartbeat.interval.ms", "15000"}, {"consumer.heartbeat.interval.ms", "4999"}, {"consumer.heartbeat.interval.ms", "15001"},
	{"consumer.assignment.interval.ms", "0"}, {"consumer.assignment.interval.ms", "-1"}, {"consumer.assignment.interval.ms", "15001"},
	{"share.session.timeout.ms", "60000"}, {"share.session.timeout.ms", "60001"}, {"share.heartbeat.interval.ms", "4999"},
	{"share.record.lock.duration.ms", "15000"}, {"share.record.lock.duration.ms", "14999"}, {"share.record.lock.duration.ms", "999"},
	{"share.delivery.count.limit", "10"}, {"share.delivery.count.limit", "11"}, {"share.delivery.count.limit", "1"},
	{"share.partition.max.record.locks", "4000"}, {"share.partition.max.record.locks", "4001"}, {"share.partition.max.record.locks", "99"},
	{"share.assignment.interval.ms", "15000"}, {"share.assignment.interval.ms", "15001"},
	{"share.auto.offset.reset", "latest"}, {"share.auto.offset.reset", "Latest"}, {"share.auto.offset.reset", "none"}, {"share.auto.offset.reset", ""},
	{"share.auto.offset.reset", "by_duration:P1DT2H3M4.5S"}, {"share.auto.offset.reset", "by_duration:pt1h"}, {"share.auto.offset.reset", "by_duration:-PT1H"},
	{"share.auto.offset.reset", "by_duration:-PT-1H"}, {"share.auto.offset.reset", "by_duration:PT2H-30M"}, {"share.auto.offset.reset", "by_duration:PT1.S"},
	{"share.auto.offset.reset", "by_duration:PT.5S"}, {"share.auto.offset.reset", "by_duration:P"}, {"share.auto.offset.reset", "by_duration:P1DT"},
	{"share.auto.offset.reset", "by_duration:P1Y"}, {"share.auto.offset.reset", "by_duration"}, {"share.auto.offset.reset", "by_duration:"},
	{"share.auto.offset.reset", " earliest "},
	{"share.isolation.level", "read_committed"}, {"share.isolation.level", "READ_COMMITTED"}, {"share.renew.acknowledge.enable", "false"},
	{"share.renew.acknowledge.enable", "no"}, {"streams.session.timeout.ms", "44999"}, {"streams.heartbeat.interval.ms", "15001"},
	{"streams.num.standby.replicas", "2"}, {"streams.num.standby.replicas", "3"}, {"streams.num.standby.replicas", "-1"},
	{"streams.initial.rebalance.delay.ms", "0"}, {"streams.initial.rebalance.delay.ms", "-1"}, {"streams.initial.rebalance.delay.ms", "2147483647"},
	{"streams.assignment.interval.ms", "15001"}, {"group.consumer.session.timeout.ms", "45000"}, {"no.such.key", "1"},
}

func alterGroupConfigs(a *asker) {
	name := a.topicName("g")
	for _, x := range groupValues {
		req := incrementalRequest(onGroup, name, change{set, x.key, ptr(x.value)})
		req.ValidateOnly = true
		a.ask(x.key+"="+x.value, req, 1)
	}
	for v := int16(0); v <= 1; v++ {
		ask := func(question string, changes ...change) { a.ask(question, incrementalRequest(onGroup, name, changes...), v) }
		ask("set two", change{set, "share.delivery.count.limit", ptr("7")}, change{set, "consumer.session.timeout.ms", ptr("55000")})
		a.value(onGroup, name, "consumer.session.timeout.ms", "55000")
		a.value(onGroup, name, "share.delivery.count.limit", "7")
		ask("a good change and a bad one", change{set, "share.delivery.count.limit", ptr("8")}, change{set, "consumer.session.timeout.ms", ptr("1")})
		ask("append to what is no list", change{appendTo, "share.auto.offset.reset", ptr("latest")})
		ask("subtract from what is no list", change{subtract, "share.auto.offset.reset", ptr("latest")})
		ask("append to a key that does not exist", change{appendTo, "no.such.key", ptr("latest")})
		ask("an operation that does not exist", change{9, "share.auto.offset.reset", ptr("latest")})
		ask("set to null", change{set, "share.auto.offset.reset", nil})
		ask("delete a key that does not exist", change{remove, "no.such.key", nil})
		ask("the same key twice", change{set, "share.delivery.count.limit", ptr("8")}, change{set, "share.delivery.count.limit", ptr("9")})
		ask("no changes")
		a.ask("an empty name", incrementalRequest(onGroup, "", change{set, "share.delivery.count.limit", ptr("8")}), v)
		twice := incrementalRequest(onGroup, name, change{set, "share.delivery.count.limit", ptr("8")})
		twice.Resources = append(twice.Resources, twice.Resources[0])
		a.ask("the same group twice", twice, v)
		a.ask("what came of all that in version "+string(rune('0'+v)), describeRequest(onGroup, name, "share.delivery.count.limit", "consumer.session.timeout.ms", "share.auto.offset.reset"), 4)
		ask("delete both", change{remove, "share.delivery.count.limit", nil}, change{remove, "consumer.session.timeout.ms", nil})
		a.value(onGroup, name, "consumer.session.timeout.ms", "45000")
		name += "again"
	}
}

func replaceGroupConfigs(a *asker) {
	for v := int16(0); v <= 2; v++ {
		name := a.topicName("g" + string(rune('a'+v)))
		a.ask("set two", replaceRequest(onGroup, name, "share.delivery.count.limit", "7", "consumer.session.timeout.ms", "55000"), v)
		a.value(onGroup, name, "consumer.session.timeout.ms", "55000")
		a.ask("set one, which unsets the other", replaceRequest(onGroup, name, "share.delivery.count.limit", "8"), v)
		a.value(onGroup, name, "consumer.session.timeout.ms", "45000")
		a.value(onGroup, name, "share.delivery.count.limit", "8")
		dry := replaceRequest(onGroup, name, "share.delivery.count.limit", "9")
		dry.ValidateOnly = true
		a.ask("validate only", dry, v)
		a.ask("a key that does not exist", replaceRequest(onGroup, name, "no.such.key", "1"), v)
		a.ask("a value out of the broker's bounds", replaceRequest(onGroup, name, "share.delivery.count.limit", "11"), v)
		a.ask("an empty name", replaceRequest(onGroup, "", "share.delivery.count.limit", "9"), v)
		null := replaceRequest(onGroup, name, "share.delivery.count.limit", "9")
		null.Resources[0].Configs[0].Value = nil
		a.ask("a null value", null, v)
		a.ask("nothing, which unsets all", replaceRequest(onGroup, name), v)
		a.value(onGroup, name, "share.delivery.count.limit", "5")
	}
}

// consumerBeat is a heartbeat of a member of the new protocol; in epoch 0 it joins.
func consumerBeat(group, member string, epoch int32, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 30_000, topics
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

// groupConfigEffect: members hear of their group's interval with their next heartbeat.
func groupConfigEffect(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	joined := a.ask("joining", consumerBeat(group, "m", 0, topic), 1).(*kmsg.ConsumerGroupHeartbeatResponse)
	a.quiet(incrementalRequest(onGroup, group, change{set, "consumer.heartbeat.interval.ms", ptr("7000")}), 1)
	var got *kmsg.ConsumerGroupHeartbeatResponse
	beat := func(want int32) func() bool {
		return func() bool {
			got = a.quiet(consumerBeat(group, "m", joined.MemberEpoch), 1).(*kmsg.ConsumerGroupHeartbeatResponse)
			return got.HeartbeatIntervalMillis == want
		}
	}
	a.until("the interval is the group's", beat(7000))
	a.answered("its own interval", got)
	a.quiet(incrementalRequest(onGroup, group, change{remove, "consumer.heartbeat.interval.ms", nil}), 1)
	a.until("the interval is the broker's", beat(5000))
	a.answered("the broker's interval", got)
	a.ask("leaving", consumerBeat(group, "m", -1), 1)
}

// memberEpochs: what members of the new protocol, and others, commit and fetch in each version.
func memberEpochs(a *asker) {
	topic, id := a.topic("t", 1)
	group := a.group("g")
	joined := a.quiet(consumerBeat(group, "m", 0, topic), 1).(*kmsg.ConsumerGroupHeartbeatResponse)
	commit := func(member string, epoch int32) func(int16) kmsg.Request {
		return func(int16) kmsg.Request {
			req := commitRequest(group, topic, 0, 5)
			req.Topics[0].TopicID, req.MemberID, req.Generation = id, member, epoch
			return req
		}
	}
	a.each("a member commits at its epoch", 2, 10, commit("m", joined.MemberEpoch))
	a.each("at a later one", 2, 10, commit("m", joined.MemberEpoch+1))
	a.each("at an earlier one", 2, 10, commit("m", joined.MemberEpoch-1))
	a.each("without one", 2, 10, commit("m", -1))
	a.each("a member that there is not", 2, 10, commit("n", joined.MemberEpoch))
	a.each("nobody", 2, 10, commit("", -1))
	fetch := func(member *string, epoch int32) func(int16) kmsg.Request {
		return func(int16) kmsg.Request {
			req := fetchOffsets(group, topic, 0)
			req.Groups[0].Topics[0].TopicID, req.Groups[0].MemberID, req.Groups[0].MemberEpoch = id, member, epoch
			return req
		}
	}
	a.each("nobody fetches", 1, 10, fetch(nil, -1))
	a.each("a member fetches at its epoch", 9, 10, fetch(ptr("m"), joined.MemberEpoch))
	a.each("a member fetches at a later one", 9, 10, fetch(ptr("m"), joined.MemberEpoch+1))
	a.each("a member fetches at an earlier one", 9, 10, fetch(ptr("m"), joined.MemberEpoch-1))
	a.each("a member that there is not fetches", 9, 10, fetch(ptr("n"), joined.MemberEpoch))
	a.ask("leaving", consumerBeat(group, "m", -1), 1)
	a.each("nobody commits for an empty group", 8, 10, commit("", -1))
	a.each("a member that has left", 8, 10, commit("m", joined.MemberEpoch))
}
