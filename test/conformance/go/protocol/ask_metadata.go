package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataProbes() []probe {
	return []probe{
		{"metadata/versions", metadataVersions},
		{"metadata/bad-input", metadataBad},
		{"metadata/auto-creation", autoCreation},
		{"describe-topic-partitions", describeTopicPartitions},
	}
}

func metadataVersions(a *asker) {
	name, id := a.topic("t", 2)
	a.each("one topic that is there and one that is not", 4, 13, func(int16) kmsg.Request { return metadataFor(name, a.topicName("none")) })
	a.each("one topic that is there", 0, 3, func(int16) kmsg.Request { return metadataFor(name) })
	a.each("by topic ID", 10, 13, func(int16) kmsg.Request { return metadataByID(id) })
	a.each("no topics", 1, 13, func(int16) kmsg.Request {
		req := metadataFor()
		req.Topics = []kmsg.MetadataRequestTopic{}
		return req
	})
	for v := int16(0); v <= 13; v++ {
		a.question("all topics name this one (v%d)", v)
		req := metadataFor()
		if v == 0 {
			req.Topics = []kmsg.MetadataRequestTopic{}
		}
		seen := 0
		for _, t := range a.quiet(req, v).(*kmsg.MetadataResponse).Topics {
			if t.Topic != nil && *t.Topic == name {
				seen++
			}
		}
		a.say("%d times", seen)
	}
	for v := int16(8); v <= 13; v++ {
		req := metadataFor(name)
		req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
		a.ask("with authorized operations", req, v)
	}
}

func metadataByID(id [16]byte) *kmsg.MetadataRequest {
	req := metadataFor()
	t := kmsg.NewMetadataRequestTopic()
	t.TopicID = id
	req.Topics = append(req.Topics, t)
	return req
}

func metadataBad(a *asker) {
	name, id := a.topic("t", 1)
	unknown := [16]byte{1, 2, 3}
	for _, v := range []int16{12, 13} {
		a.ask("an ID that does not exist", metadataByID(unknown), v)
		both := metadataByID(id)
		both.Topics[0].Topic = &name
		a.ask("an ID with its name", both, v)
		wrong := a.topicName("wrong")
		both = metadataByID(id)
		both.Topics[0].Topic = &wrong
		a.ask("an ID with another name", both, v)
		a.ask("neither name nor ID", metadataByID([16]byte{}), v)
		a.ask("the same topic twice", metadataFor(name, name), v)
		mixed := metadataFor(name)
		mixed.Topics = append(mixed.Topics, metadataByID(id).Topics...)
		a.ask("one by name, one by ID", mixed, v)
	}
	for _, v := range []int16{1, 4, 9, 12} {
		for _, bad := range []string{"", ".", "..", "no spaces", "a/b", long(250)} {
			req := metadataFor(bad)
			req.AllowAutoTopicCreation = true
			a.ask("a name that cannot be: "+short(bad), req, v)
		}
	}
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

func short(name string) string {
	if len(name) > 60 {
		return name[:20] + "..."
	}
	return "'" + name + "'"
}

// autoCreation: the error code of the answer that creates, and that without leave nothing is created.
func autoCreation(a *asker) {
	for _, v := range []int16{1, 4, 8, 12, 13} {
		name := a.topicName("auto-" + string(rune('a'+v)))
		if v >= 4 {
			a.ask("not there, creation not allowed", metadataFor(name), v)
		}
		req := metadataFor(name)
		req.AllowAutoTopicCreation = true
		a.question("not there, creation allowed: the first answer is an error that clients repeat, or the topic (v%d)", v)
		t := a.quiet(req, v).(*kmsg.MetadataResponse).Topics[0]
		a.say("%v", t.ErrorCode == 0 || t.ErrorCode == 3 || t.ErrorCode == 5)
		a.until(name+" is there", func() bool {
			t := a.quiet(metadataFor(name), 9).(*kmsg.MetadataResponse).Topics[0]
			return t.ErrorCode == 0 && len(t.Partitions) == 1 && t.Partitions[0].ErrorCode == 0
		})
		a.ask("now it is there", metadataFor(name), v)
	}
}

func describeTopicPartitions(a *asker) {
	a.ordered = true
	first, _ := a.topic("a", 3)
	second, _ := a.topic("b", 2)
	ask := func(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) *kmsg.DescribeTopicPartitionsRequest {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range topics {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = name
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	at := func(topic string, p int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = topic, p
		return &c
	}
	a.ask("two topics and one that is not there", ask(100, nil, second, first, a.topicName("none")), 0)
	a.ask("a limit within the first topic", ask(2, nil, first, second), 0)
	a.ask("from the cursor on", ask(2, at(first, 2), first, second), 0)
	a.ask("a limit at the end of a topic", ask(3, nil, first, second), 0)
	a.ask("a cursor past the topic's partitions", ask(100, at(first, 7), first, second), 0)
	a.ask("a cursor at a topic that is not asked for", ask(100, at(a.topicName("aa"), 0), first, second), 0)
	a.ask("a negative cursor", ask(100, at(first, -1), first), 0)
	a.ask("a limit of 0", ask(0, nil, first), 0)
	a.ask("a name that cannot be", ask(100, nil, "no spaces"), 0)
	a.ask("the same topic twice", ask(100, nil, first, first), 0)
}
