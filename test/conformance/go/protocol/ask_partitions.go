package main

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func partitionProbes() []probe { return []probe{{"create-partitions", createPartitions}} }

func recordProbes() []probe { return []probe{{"delete-records", deleteRecords}} }

func growRequest(topic string, count int32, assigned ...[]int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, count
	for _, replicas := range assigned {
		as := kmsg.NewCreatePartitionsRequestTopicAssignment()
		as.Replicas = replicas
		t.Assignment = append(t.Assignment, as)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func createPartitions(a *asker) {
	node := a.node()
	for v := int16(0); v <= 3; v++ {
		name, _ := a.topic("t"+string(rune('a'+v)), 2)
		dry := growRequest(name, 4)
		dry.ValidateOnly = true
		a.ask("validate only", dry, v)
		a.ask("two more", growRequest(name, 4), v)
		a.grown(name, 4)
		a.ask("as many as there are", growRequest(name, 4), v)
		a.ask("fewer", growRequest(name, 3), v)
		a.ask("none", growRequest(name, 0), v)
		a.ask("a negative number", growRequest(name, -1), v)
		a.ask("a topic that does not exist", growRequest(a.topicName("none"), 5), v)
		a.ask("a name that cannot be", growRequest("no spaces", 5), v)
		a.ask("assigned by hand", growRequest(name, 5, []int32{node}), v)
		a.grown(name, 5)
		a.ask("assigned by hand, one too few", growRequest(name, 7, []int32{node}), v)
		a.ask("assigned by hand, one too many", growRequest(name, 6, []int32{node}, []int32{node}), v)
		a.ask("assigned to a broker that is not there", growRequest(name, 6, []int32{99}), v)
		a.ask("assigned to one broker twice", growRequest(name, 6, []int32{node, node}), v)
		a.ask("assigned to nobody", growRequest(name, 6, []int32{}), v)
		twice := growRequest(name, 8)
		twice.Topics = append(twice.Topics, twice.Topics[0])
		a.ask("the same topic twice", twice, v)
		a.ask("and what came of all that", metadataFor(name), 9+v)
	}
}

// grown waits until the asked broker knows leaders of so many partitions.
func (a *asker) grown(topic string, partitions int) {
	a.until(topic+" has more partitions", func() bool {
		t := a.quiet(metadataFor(topic), 9).(*kmsg.MetadataResponse).Topics[0]
		return len(t.Partitions) == partitions && !slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.ErrorCode != 0 })
	})
}

func deleteRecords(a *asker) {
	ask := func(topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 10_000
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic = topic
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}
	for v := int16(0); v <= 2; v++ {
		name, id := a.topic("t"+string(rune('a'+v)), 1)
		a.fill(name, id, 4)
		a.ask("before offset 4, within a batch", ask(name, 0, 4), v)
		a.ask("the earliest offset then", listOffsetsRequest(name, 0, -2), 7+v)
		a.ask("fetch below it", fetchRequest(name, id, 0, 3), 12+v)
		a.ask("fetch at it", fetchRequest(name, id, 0, 4), 12+v)
		a.ask("before offset 2, gone already", ask(name, 0, 2), v)
		a.ask("past the end", ask(name, 0, 11), v)
		a.ask("offset -2", ask(name, 0, -2), v)
		a.ask("all (-1)", ask(name, 0, -1), v)
		a.ask("all, again", ask(name, 0, 10), v)
		a.ask("produce into the empty log", produceRequest(name, id, 0, newBatch(1).bytes()), 9+v)
		a.ask("a partition that does not exist", ask(name, 9, 0), v)
		a.ask("a topic that does not exist", ask(a.topicName("none"), 0, 0), v)
		compacted, compactedID := a.topic("c"+string(rune('a'+v)), 1, "cleanup.policy", "compact")
		a.fill(compacted, compactedID, 1)
		a.ask("a compacted topic", ask(compacted, 0, 1), v)
	}
}
