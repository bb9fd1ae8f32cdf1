package main

import "github.com/twmb/franz-go/pkg/kmsg"

func replicaProbes() []probe {
	return []probe{{"alter-partition-reassignments", alterReassignments}, {"list-partition-reassignments", listReassignments}, {"elect-leaders", electLeaders}}
}

// moveRequest asks for one partition to have other replicas; nil: to stay where it is.
func moveRequest(topic string, partition int32, replicas ...int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10_000
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func alterReassignments(a *asker) {
	node := a.node()
	name, _ := a.topic("t", 2)
	for v := int16(0); v <= 1; v++ {
		a.ask("to where it is", moveRequest(name, 0, node), v)
		a.ask("cancel what is not under way", moveRequest(name, 0), v)
		a.ask("to a broker that is not there", moveRequest(name, 0, 99), v)
		a.ask("to a broker that is not there, beside one that is", moveRequest(name, 0, node, 99), v)
		a.ask("to one broker twice", moveRequest(name, 0, node, node), v)
		a.ask("to a negative broker", moveRequest(name, 0, -1), v)
		a.ask("to nobody", moveRequest(name, 0, []int32{}...), v)
		a.ask("a partition that does not exist", moveRequest(name, 9, node), v)
		a.ask("a negative partition", moveRequest(name, -1, node), v)
		a.ask("a topic that does not exist", moveRequest(a.topicName("none"), 0, node), v)
		a.ask("a name that cannot be", moveRequest("no spaces", 0, node), v)
		a.ask("cancel for a topic that does not exist", moveRequest(a.topicName("none"), 0), v)
		twice := moveRequest(name, 0, node)
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
		a.ask("the same partition twice", twice, v)
		both := moveRequest(name, 0, node)
		both.Topics = append(both.Topics, moveRequest(a.topicName("none"), 0, node).Topics...)
		a.ask("one that is there and one that is not", both, v)
		none := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		a.ask("nothing", none, v)
		still := moveRequest(name, 0, node)
		still.TimeoutMillis = 0
		a.ask("without time", still, v)
	}
	fixed := moveRequest(name, 1, node)
	fixed.AllowReplicationFactorChange = false
	a.ask("as many replicas, and no other number allowed", fixed, 1)
	a.ask("and what came of all that", metadataFor(name), 12)
}

func listReassignments(a *asker) {
	name, _ := a.topic("t", 2)
	ask := func(topic string, partitions ...int32) *kmsg.ListPartitionReassignmentsRequest {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 10_000
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	a.ask("all", kmsg.NewPtrListPartitionReassignmentsRequest(), 0)
	none := kmsg.NewPtrListPartitionReassignmentsRequest()
	none.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
	a.ask("no topics", none, 0)
	a.ask("two partitions that stay", ask(name, 0, 1), 0)
	a.ask("a partition that does not exist", ask(name, 9), 0)
	a.ask("no partitions of a topic", ask(name), 0)
	a.ask("a topic that does not exist", ask(a.topicName("none"), 0), 0)
}

func electLeaders(a *asker) {
	name, _ := a.topic("t", 2)
	ask := func(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType, req.TimeoutMillis = kind, 10_000
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	const preferred, unclean = 0, 1
	a.each("where the preferred leader leads", 0, 2, func(int16) kmsg.Request { return ask(preferred, name, 0, 1) })
	a.each("a partition that does not exist", 0, 2, func(int16) kmsg.Request { return ask(preferred, name, 9) })
	a.each("a negative partition", 0, 2, func(int16) kmsg.Request { return ask(preferred, name, -1) })
	a.each("a topic that does not exist", 0, 2, func(int16) kmsg.Request { return ask(preferred, a.topicName("none"), 0) })
	a.each("a name that cannot be", 0, 2, func(int16) kmsg.Request { return ask(preferred, "no spaces", 0) })
	a.each("no partitions of a topic", 0, 2, func(int16) kmsg.Request { return ask(preferred, name) })
	a.each("the same partition twice", 0, 2, func(int16) kmsg.Request { return ask(preferred, name, 0, 0) })
	a.each("no topics", 0, 2, func(int16) kmsg.Request {
		req := ask(preferred, name)
		req.Topics = []kmsg.ElectLeadersRequestTopic{}
		return req
	})
	a.each("without time", 0, 2, func(int16) kmsg.Request {
		req := ask(preferred, name, 0)
		req.TimeoutMillis = 0
		return req
	})
	a.each("unclean, where there is a leader", 1, 2, func(int16) kmsg.Request { return ask(unclean, name, 0) })
	a.each("unclean, a topic that does not exist", 1, 2, func(int16) kmsg.Request { return ask(unclean, a.topicName("none"), 0) })
	wherever := func(kind int8, v int16) (code string, elected int) {
		req := ask(kind, name)
		req.Topics = nil
		r := a.quiet(req, v).(*kmsg.ElectLeadersResponse)
		for _, t := range r.Topics { // Kafka names the topics where nothing was to do, too
			elected += len(t.Partitions)
		}
		return errorName(r.ErrorCode), elected
	}
	a.until("all partitions have their preferred leaders", func() bool { // of several brokers one may have been away for a moment
		_, elected := wherever(preferred, 2)
		return elected == 0
	})
	for v := int16(0); v <= 2; v++ {
		for kind := int8(preferred); kind <= unclean; kind++ {
			code, elected := wherever(kind, v)
			a.question("election %d wherever it is needed (v%d)", kind, v)
			a.say("%s, %d elections", code, elected)
		}
	}
	a.each("a kind of election that does not exist", 1, 2, func(int16) kmsg.Request { return ask(7, name, 0) })
}
