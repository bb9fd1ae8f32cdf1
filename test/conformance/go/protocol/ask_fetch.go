package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func fetchProbes() []probe {
	return []probe{
		{"fetch/versions", fetchVersions},
		{"fetch/bad-input", fetchBad},
		{"fetch/limits", fetchLimits},
		{"fetch/waiting", fetchWaiting},
		{"fetch/epochs", fetchEpochs},
	}
}

// fetchRequest reads one partition without a session, by name and by ID, so that it fits every version.
func fetchRequest(topic string, id [16]byte, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 1, 50<<20
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, offset, 1<<20, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// fill writes batches of one, two, three ... records.
func (a *asker) fill(topic string, id [16]byte, batches int) {
	for i := range batches {
		a.quiet(produceRequest(topic, id, 0, newBatch(i+1).bytes()), 12)
	}
}

func fetchVersions(a *asker) {
	name, id := a.topic("t", 2)
	a.fill(name, id, 3)
	at := func(partition int32, offset int64) func(int16) kmsg.Request {
		return func(int16) kmsg.Request { return fetchRequest(name, id, partition, offset) }
	}
	a.each("from the start", 4, 18, at(0, 0))
	a.each("from within a batch", 4, 18, at(0, 2))
	a.each("from the end", 4, 18, at(0, 6))
	a.each("an empty partition", 4, 18, at(1, 0))
	a.each("past the end", 4, 18, at(0, 7))
	a.each("before the start", 4, 18, at(0, -1))
	a.each("read committed", 4, 18, func(int16) kmsg.Request {
		req := fetchRequest(name, id, 0, 0)
		req.IsolationLevel = 1
		return req
	})
	a.each("a partition that does not exist", 4, 18, at(9, 0))
	a.each("a topic that does not exist", 4, 18, func(int16) kmsg.Request {
		return fetchRequest(a.topicName("none"), [16]byte{7, 7}, 0, 0)
	})
}

func fetchBad(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 2)
	for _, v := range []int16{5, 11, 12, 13, 17} {
		req := fetchRequest(name, id, 0, 0)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		a.ask("the same partition twice", req, v)
		req = fetchRequest(name, id, 0, 0)
		req.Topics = nil
		a.ask("no topics", req, v)
		req = fetchRequest(name, id, -1, 0)
		a.ask("partition -1", req, v)
		req = fetchRequest(name, id, 0, 0)
		req.MaxBytes = -1
		a.ask("negative max bytes", req, v)
		req = fetchRequest(name, id, 0, 0)
		req.IsolationLevel = 5
		a.ask("isolation level 5", req, v)
		if v < 15 {
			req = fetchRequest(name, id, 0, 0)
			req.ReplicaID = 77
			a.ask("as a follower that is no broker", req, v)
			req = fetchRequest(name, id, 0, 0)
			req.ReplicaID = -2
			a.ask("as a debugging consumer", req, v)
		}
	}
	req := fetchRequest("no spaces", id, 0, 0)
	a.ask("a name that cannot be", req, 12)
	a.ask("the zero topic ID", fetchRequest(name, [16]byte{}, 0, 0), 13)
}

func fetchLimits(a *asker) {
	name, id := a.topic("t", 2)
	for range 5 {
		for p := range int32(2) {
			a.quiet(produceRequest(name, id, p, newBatch(1).with(func(b *batch) { b.records[0].Value = make([]byte, 1000) }).bytes()), 12)
		}
	}
	for _, v := range []int16{4, 12, 13, 18} {
		for _, limit := range []int32{0, 1, 1500, 2500} {
			req := fetchRequest(name, id, 0, 0)
			req.Topics[0].Partitions[0].PartitionMaxBytes = limit
			a.ask(fmt.Sprintf("partition max bytes %d", limit), req, v)
			req = fetchRequest(name, id, 0, 0)
			req.MaxBytes = limit
			second := req.Topics[0].Partitions[0]
			second.Partition = 1
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, second)
			a.ask(fmt.Sprintf("max bytes %d over two partitions", limit), req, v)
		}
	}
}

// fetchWaiting: an answer waits for min bytes, no longer than max wait, and errors do not wait.
func fetchWaiting(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 1)
	timed := func(question string, atLeast, atMost time.Duration, change func(*kmsg.FetchRequest)) {
		req := fetchRequest(name, id, 0, 1)
		req.MaxWaitMillis = 2000
		change(req)
		start := time.Now()
		a.quiet(req, 12)
		took := time.Since(start)
		a.question("%s", question)
		a.say("in time: %v", took >= atLeast-50*time.Millisecond && took <= atMost)
	}
	timed("at the end it waits for all of max wait", 2*time.Second, 6*time.Second, func(*kmsg.FetchRequest) {})
	timed("with min bytes 0 it does not wait", 0, 1500*time.Millisecond, func(r *kmsg.FetchRequest) { r.MinBytes = 0 })
	timed("with max wait 0 it does not wait", 0, 1500*time.Millisecond, func(r *kmsg.FetchRequest) { r.MaxWaitMillis = 0 })
	timed("out of range does not wait", 0, 1500*time.Millisecond, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 50 })
	timed("an unknown partition does not wait", 0, 1500*time.Millisecond, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 9 })
	timed("fewer than min bytes wait", 2*time.Second, 6*time.Second, func(r *kmsg.FetchRequest) {
		r.MinBytes, r.Topics[0].Partitions[0].FetchOffset = 10_000, 0
	})
	timed("enough bytes do not wait", 0, 1500*time.Millisecond, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 0 })
	a.question("a produce ends the wait")
	req := fetchRequest(name, id, 0, 1)
	req.MaxWaitMillis, req.Version = 15_000, 12
	start := time.Now()
	n, err := a.connection().send(req)
	a.must(err)
	writer, err := dial(a.server)
	a.must(err)
	defer writer.Close()
	put := produceRequest(name, id, 0, newBatch(1).bytes())
	put.Version = 12
	_, err = writer.ask(put)
	a.must(err)
	resp, err := a.connection().receive(req, n)
	a.must(err)
	a.say("%s, in time: %v", batches(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches), time.Since(start) < 5*time.Second)
}

func fetchEpochs(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 2)
	for _, v := range []int16{9, 11, 12, 13, 18} {
		for _, epoch := range []int32{0, 1, 100} {
			req := fetchRequest(name, id, 0, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			a.ask(fmt.Sprintf("current leader epoch %d", epoch), req, v)
		}
		if v >= 12 {
			for _, last := range []struct {
				epoch  int32
				offset int64
			}{{0, 0}, {0, 3}, {0, 2}, {5, 1}} {
				req := fetchRequest(name, id, 0, last.offset)
				req.Topics[0].Partitions[0].LastFetchedEpoch = last.epoch
				a.ask(fmt.Sprintf("last fetched epoch %d at offset %d", last.epoch, last.offset), req, v)
			}
		}
	}
}

func sessionProbes() []probe {
	return []probe{{"fetch/sessions", sessions}, {"fetch/session-errors", sessionErrors}}
}

// session is a fetch within a session; no topics means no change.
func session(id, epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
	req := fetchRequest("", [16]byte{}, 0, 0)
	req.Topics, req.SessionID, req.SessionEpoch = topics, id, epoch
	return req
}

func sessions(a *asker) {
	for _, v := range []int16{7, 12, 13, 18} {
		suffix := string(rune('a' + v))
		name, id := a.topic("t"+suffix, 3)
		a.fill(name, id, 2)
		at := func(partition int32, offset int64) kmsg.FetchRequestTopic {
			return fetchRequest(name, id, partition, offset).Topics[0]
		}
		both := at(0, 0)
		both.Partitions = append(both.Partitions, at(1, 0).Partitions...)
		s := a.ask("a new session over two partitions", session(0, 0, both), v).(*kmsg.FetchResponse).SessionID
		a.ask("no change, still at offset 0: the records again", session(s, 1), v)
		a.ask("one partition moved to the end: nothing to say", session(s, 2, at(0, 3)), v)
		a.ask("still nothing", session(s, 3), v)
		a.quiet(produceRequest(name, id, 1, newBatch(1).bytes()), 12)
		a.ask("one partition has something new", session(s, 4), v)
		a.ask("a third partition joins", session(s, 5, at(2, 0)), v)
		forget := kmsg.NewFetchRequestForgottenTopic()
		forget.Topic, forget.TopicID, forget.Partitions = name, id, []int32{1}
		req := session(s, 6)
		req.ForgottenTopics = append(req.ForgottenTopics, forget)
		a.ask("the one with records is forgotten", req, v)
		a.ask("one that does not exist joins", session(s, 7, at(9, 0)), v)
		a.ask("and says so again", session(s, 8), v)
		a.ask("out of range", session(s, 9, at(0, 100)), v)
		a.ask("the session ends: a full answer without one", session(s, -1, at(0, 0)), v)
		a.ask("after its end", session(s, 10), v)
	}
}

func sessionErrors(a *asker) {
	for _, v := range []int16{7, 13, 18} {
		suffix := string(rune('a' + v))
		name, id := a.topic("t"+suffix, 1)
		topic := fetchRequest(name, id, 0, 0).Topics[0]
		a.ask("a session that does not exist", session(123456789, 1, topic), v)
		a.ask("session 0 in the middle", session(0, 5, topic), v)
		s := a.ask("a new session", session(0, 0, topic), v).(*kmsg.FetchResponse).SessionID
		a.ask("an epoch too far", session(s, 2), v)
		a.ask("an epoch again", session(s, 0, topic), v)
		a.ask("the session after that", session(s, 1), v)
		other, otherID := a.topic("u"+suffix, 1)
		s = a.ask("another session", session(0, 0, fetchRequest(other, otherID, 0, 0).Topics[0]), v).(*kmsg.FetchResponse).SessionID
		a.remove(other)
		a.ask("its topic is deleted", session(s, 1), v)
		a.ask("a session of an unknown topic", session(0, 0, fetchRequest("p-none"+a.tag, [16]byte{3}, 0, 0).Topics[0]), v)
	}
}
