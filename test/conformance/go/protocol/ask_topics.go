package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicProbes() []probe {
	return []probe{
		{"create-topics/versions", createVersions},
		{"create-topics/bad-input", createBad},
		{"delete-topics", deleteTopics},
	}
}

func createRequest(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = topics
	return req
}

func newTopic(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	return t
}

func (t2 topicWith) config(key string, value *string) topicWith {
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = key, value
	t2.Configs = append(t2.Configs, c)
	return t2
}

type topicWith struct{ kmsg.CreateTopicsRequestTopic }

// created asks and writes down the answer without the configs, which the configs probes compare.
func (a *asker) created(question string, req *kmsg.CreateTopicsRequest, version int16) {
	req.SetVersion(version)
	a.question("%s (CreateTopics v%d)", question, version)
	resp, err := a.connection().ask(req)
	if err == errClosed {
		a.say("closes the connection")
		a.hangUp()
		return
	}
	a.must(err)
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		a.say("%s %s, ID: %v, %d partitions, %d replicas, configs: %v, their error %s", short(strings.ReplaceAll(t.Topic, a.tag, "")),
			errorName(t.ErrorCode), t.TopicID != [16]byte{}, t.NumPartitions, t.ReplicationFactor, len(t.Configs) > 0,
			errorName(t.ConfigErrorCode))
	}
}

func createVersions(a *asker) {
	for v := int16(2); v <= 7; v++ {
		suffix := string(rune('a' + v))
		name := a.topicName("t" + suffix)
		dry := createRequest(newTopic(name, 3, 1))
		dry.ValidateOnly = true
		a.created("validate only", dry, v)
		a.created("a topic with a config", createRequest(topicWith{newTopic(name, 3, 1)}.config("segment.bytes", ptr("12345678")).CreateTopicsRequestTopic), v)
		a.created("the same again", createRequest(newTopic(name, 3, 1)), v)
		dry = createRequest(newTopic(name, 3, 1))
		dry.ValidateOnly = true
		a.created("validate only, but it is there", dry, v)
		a.created("default partitions and replicas", createRequest(newTopic(a.topicName("d"+suffix), -1, -1)), v)
		a.created("one good, one bad", createRequest(newTopic(a.topicName("g"+suffix), 1, 1), newTopic(a.topicName("b"+suffix), 0, 1)), v)
		a.created("assigned by hand", createRequest(a.assigned("h"+suffix, 0, 1)), v)
	}
}

func ptr(s string) *string { return &s }

// assigned is a topic whose partitions are assigned to this broker by hand.
func (a *asker) assigned(purpose string, partitions ...int32) kmsg.CreateTopicsRequestTopic {
	node := a.node()
	t := newTopic(a.topicName(purpose), -1, -1)
	for _, p := range partitions {
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Partition, r.Replicas = p, []int32{node}
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
	}
	return t
}

func createBad(a *asker) {
	for _, v := range []int16{2, 5, 7} {
		suffix := string(rune('a' + v))
		one := func(question string, t kmsg.CreateTopicsRequestTopic) { a.created(question, createRequest(t), v) }
		one("0 partitions", newTopic(a.topicName("x"), 0, 1))
		one("-2 partitions", newTopic(a.topicName("x"), -2, 1))
		one("0 replicas", newTopic(a.topicName("x"), 1, 0))
		one("5 replicas", newTopic(a.topicName("x"), 1, 5))
		one("-2 replicas", newTopic(a.topicName("x"), 1, -2))
		one("default replicas only", newTopic(a.topicName("y"+suffix), 2, -1))
		for _, name := range []string{"", ".", "..", "no spaces", "a/b", "ünicode", long(250)} {
			one("a name that cannot be: "+short(name), newTopic(name, 1, 1))
		}
		one("a name of 249 characters", newTopic(long(248-len(a.tag))+suffix+a.tag, 1, 1))
		one("a dotted name", newTopic("p.dots"+suffix+a.tag, 1, 1))
		one("which collides with its underscored twin", newTopic("p_dots"+suffix+a.tag, 1, 1))
		one("a key that is none", topicWith{newTopic(a.topicName("x"), 1, 1)}.config("no.such.key", ptr("1")).CreateTopicsRequestTopic)
		one("a value that is none", topicWith{newTopic(a.topicName("x"), 1, 1)}.config("retention.ms", ptr("many")).CreateTopicsRequestTopic)
		one("a value out of range", topicWith{newTopic(a.topicName("x"), 1, 1)}.config("segment.bytes", ptr("1")).CreateTopicsRequestTopic)
		one("a null value", topicWith{newTopic(a.topicName("x"), 1, 1)}.config("retention.ms", nil).CreateTopicsRequestTopic)
		one("a key twice", topicWith{newTopic(a.topicName("k"+suffix), 1, 1)}.config("retention.ms", ptr("1")).config("retention.ms", ptr("2")).CreateTopicsRequestTopic)
		one("an unknown cleanup policy", topicWith{newTopic(a.topicName("x"), 1, 1)}.config("cleanup.policy", ptr("forget")).CreateTopicsRequestTopic)
		one("more replicas demanded than there are", topicWith{newTopic(a.topicName("m"+suffix), 1, 1)}.config("min.insync.replicas", ptr("2")).CreateTopicsRequestTopic)
		twice := newTopic(a.topicName("x"), 1, 1)
		a.created("the same name twice in one request", createRequest(twice, twice), v)
		a.created("no topics", createRequest(), v)
		hand := a.assigned("x", 0, 2)
		one("assigned by hand with a gap", hand)
		hand = a.assigned("x", 0, 0)
		one("assigned by hand, one partition twice", hand)
		hand = a.assigned("x", 0)
		hand.ReplicaAssignment[0].Replicas = []int32{99}
		one("assigned to a broker that is not there", hand)
		hand = a.assigned("x", 0)
		hand.ReplicaAssignment[0].Replicas = append(hand.ReplicaAssignment[0].Replicas, hand.ReplicaAssignment[0].Replicas...)
		one("assigned to one broker twice", hand)
		hand = a.assigned("x", 0)
		hand.ReplicaAssignment[0].Replicas = nil
		one("assigned to nobody", hand)
		hand = a.assigned("x", 0)
		hand.NumPartitions = 1
		one("assigned by hand, and a number of partitions", hand)
		one("after all of these", newTopic(a.topicName("z"+suffix), 1, 1))
	}
}

func deleteRequest(names ...string) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	req.TopicNames = names
	for _, name := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

// remove deletes a topic and waits until nobody knows it.
func (a *asker) remove(name string) {
	a.quiet(deleteRequest(name), 5)
	a.gone(name)
}

func (a *asker) gone(name string) {
	a.until(name+" is gone", func() bool {
		return a.quiet(metadataFor(name), 9).(*kmsg.MetadataResponse).Topics[0].ErrorCode == 3
	})
}

func deleteTopics(a *asker) {
	for v := int16(1); v <= 6; v++ {
		suffix := string(rune('a' + v))
		name, _ := a.topic("t"+suffix, 2)
		a.ask("one that is there and one that is not", deleteRequest(name, a.topicName("none")), v)
		a.gone(name)
		a.ask("again", deleteRequest(name), v)
		a.ask("no topics", deleteRequest(), v)
		a.ask("a name that cannot be", deleteRequest("no spaces"), v)
		name, _ = a.topic("u"+suffix, 1)
		a.ask("the same name twice", deleteRequest(name, name), v)
	}
	byID := func(id [16]byte, name *string) *kmsg.DeleteTopicsRequest {
		req := deleteRequest()
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.TopicID, t.Topic = id, name
		req.Topics = append(req.Topics, t)
		return req
	}
	name, id := a.topic("i", 1)
	a.ask("an ID with its name", byID(id, &name), 6)
	a.ask("by its ID", byID(id, nil), 6)
	a.gone(name)
	a.ask("by its ID again", byID(id, nil), 6)
	a.ask("neither name nor ID", byID([16]byte{}, nil), 6)
	a.ask("produce by the ID of a deleted topic", produceRequest(name, id, 0, newBatch(1).bytes()), 13)
	a.ask("fetch by the ID of a deleted topic", fetchRequest(name, id, 0, 0), 13)
	again, newID := a.topic("i", 1)
	a.question("created again it has another ID")
	a.say("%v", newID != id && again == name)
	a.ask("fetch by the ID of the topic before it", fetchRequest(name, id, 0, 0), 13)
}
