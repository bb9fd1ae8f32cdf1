package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func shareFetchProbes() []probe {
	return []probe{
		{"share-fetch/records", shareRecords},
		{"share-fetch/modes", shareModes},
		{"share-fetch/sessions", shareSessions},
		{"share-fetch/acknowledgements", shareAcknowledgements},
		{"share-fetch/renewal", shareRenewal},
		{"share-fetch/two-members", shareTwoMembers},
		{"share-fetch/unknown", shareUnknown},
		{"share-fetch/bad-input", badShareFetch},
	}
}

// aMember is a member of a share group that reads one partition from its first record on. Members are nobody that the group's coordinator knows: who leads the
// partition does not ask.
type aMember struct {
	aShare
	a     *asker
	id    string
	epoch int32
	wait  int32
}

// reader is a member over a share partition that has begun.
func (a *asker) reader(purpose, topic string, id [16]byte) *aMember {
	s := a.share(purpose, id, 0)
	a.until("the share partition has begun", func() bool {
		return a.quiet(s.begin(1, 0), 0).(*kmsg.InitializeShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
	return &aMember{aShare: s, a: a, id: memberA}
}

// request is the next fetch. The first one waits until the share partition is loaded, if there is something to be had.
func (m *aMember) request(edit ...func(*kmsg.ShareFetchRequest)) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &m.group, &m.id, m.epoch
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = m.wait, 1, 1<<20, 100, 100
	if m.epoch == 0 {
		req.MaxWaitMillis = 3_000
		p := kmsg.NewShareFetchRequestTopicPartition()
		p.Partition = m.partition
		req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: m.topic, Partitions: []kmsg.ShareFetchRequestTopicPartition{p}}}
	}
	for _, e := range edit {
		e(req)
	}
	if m.epoch++; req.ShareSessionEpoch == -1 {
		m.epoch = 0
	}
	return req
}

func (m *aMember) fetch(question string, version int16, edit ...func(*kmsg.ShareFetchRequest)) *kmsg.ShareFetchResponse {
	got, _ := m.a.ask(question, m.request(edit...), version).(*kmsg.ShareFetchResponse)
	return got
}

// acks says of records, from first to last, what becomes of them.
func (m *aMember) acks(batches ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) func(*kmsg.ShareFetchRequest) {
	return func(req *kmsg.ShareFetchRequest) {
		p := kmsg.NewShareFetchRequestTopicPartition()
		p.Partition, p.AcknowledgementBatches = m.partition, batches
		req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: m.topic, Partitions: []kmsg.ShareFetchRequestTopicPartition{p}}}
	}
}

func ackOf(first, last int64, types ...int8) kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch {
	return kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{FirstOffset: first, LastOffset: last, AcknowledgeTypes: types}
}

// acknowledge asks about records without fetching more.
func (m *aMember) acknowledge(question string, version int16, batches ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) {
	m.acknowledgeAs(question, version, false, batches...)
}

func (m *aMember) acknowledgeAs(question string, version int16, renews bool, batches ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) {
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck = &m.group, &m.id, m.epoch, renews
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	p.Partition = m.partition
	for _, b := range batches {
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{
			FirstOffset: b.FirstOffset, LastOffset: b.LastOffset, AcknowledgeTypes: b.AcknowledgeTypes,
		})
	}
	req.Topics = []kmsg.ShareAcknowledgeRequestTopic{{TopicID: m.topic, Partitions: []kmsg.ShareAcknowledgeRequestTopicPartition{p}}}
	m.epoch++
	m.a.ask(question, req, version)
}

func final(req *kmsg.ShareFetchRequest) { req.ShareSessionEpoch = -1 }

func shareRecords(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 3) // records 0, 1-2, 3-5
	m := a.reader("g", name, id)
	m.fetch("the first fetch", 1)
	m.fetch("again", 1)
	m.fetch("accepting two", 1, m.acks(ackOf(0, 1, 1)))
	m.acknowledge("rejecting one, releasing the others one by one", 2, ackOf(2, 5, 2, 3, 2, 2)) // with a fetch it is a matter of time whether that gets them
	m.fetch("what was released", 2)
	m.fetch("accepting all that is left, with a gap", 2, m.acks(ackOf(2, 2, 1), ackOf(4, 5, 1, 0)))
	a.fill(name, id, 1)
	m.fetch("one more record", 2)
	m.fetch("the last fetch", 2, final)
	m.fetch("what the end has released", 2)
	m.fetch("accepting with the end", 2, m.acks(ackOf(6, 6, 1)), final)
	a.fill(name, id, 1)
	m.fetch("after all that", 2)
}

func shareModes(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 5) // records 0, 1-2, 3-5, 6-9, 10-14
	m := a.reader("g", name, id)
	limit := func(records int32, mode int8) func(*kmsg.ShareFetchRequest) {
		return func(req *kmsg.ShareFetchRequest) { req.MaxRecords, req.ShareAcquireMode = records, mode }
	}
	m.fetch("no records", 2, limit(0, 0))
	m.epoch = 0
	m.fetch("no bytes", 2, func(req *kmsg.ShareFetchRequest) { req.MaxBytes = 0 })
	m.epoch = 0
	m.fetch("two records, by batches", 2, limit(2, 0))
	m.fetch("two records, no more", 2, limit(2, 1))
	m.fetch("three records, no more", 2, limit(3, 1))
	m.fetch("two records, by batches, from within one", 1, limit(2, 0))
	m.fetch("the rest", 2)
	m.acknowledge("releasing all", 2, ackOf(0, 14, 2))
	m.fetch("in batches of two", 2, func(req *kmsg.ShareFetchRequest) { req.BatchSize = 2 })
	m.fetch("negative records", 2, limit(-1, 0))
	m.fetch("more bytes than there are", 2, func(req *kmsg.ShareFetchRequest) { req.MinBytes = 1 << 20 })
	m.fetch("an unknown mode", 2, limit(5, 7))
}

func shareSessions(a *asker) {
	name, id := a.topic("t", 2)
	a.fill(name, id, 2)
	m := a.reader("g", name, id)
	m.epoch = 1
	m.fetch("going on with no session", 2)
	m.acknowledge("acknowledging without a session", 2, ackOf(0, 0, 1))
	m.epoch = 0
	m.fetch("ending no session", 2, final)
	m.fetch("beginning with acknowledgements", 2, m.acks(ackOf(0, 0, 1)))
	m.epoch = 0
	m.acknowledge("acknowledging in epoch 0", 2, ackOf(0, 0, 1))
	m.epoch = 0
	m.fetch("beginning", 2)
	m.epoch = 5
	m.fetch("an epoch to come", 2)
	m.epoch = 5
	m.acknowledge("acknowledging in an epoch to come", 2, ackOf(0, 0, 1))
	m.epoch = 1
	m.acknowledge("acknowledging moves the session on", 2, ackOf(0, 0, 2))
	m.epoch = 1
	m.fetch("so that this is old", 2)
	m.epoch = 2
	m.fetch("and this is not", 2)
	m.fetch("forgetting the partition", 2, func(req *kmsg.ShareFetchRequest) {
		req.ForgottenTopicsData = []kmsg.ShareFetchRequestForgottenTopicsData{{TopicID: id, Partitions: []int32{0}}}
	})
	m.acknowledge("releasing all the same", 2, ackOf(0, 2, 2))
	m.fetch("nothing to fetch", 2)
	m.fetch("adding it again", 2, m.acks())
	m.epoch = 0
	m.fetch("beginning anew releases nothing", 2, func(req *kmsg.ShareFetchRequest) { req.MaxWaitMillis = 300 })
	m.epoch = -1
	m.acknowledge("ending by acknowledging", 2, ackOf(0, 0, 1))
	m.epoch = 1
	m.fetch("after the end", 2)
	m.epoch = 0
	m.fetch("what the end has released", 2)
}

func shareAcknowledgements(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 4) // records 0, 1-2, 3-5, 6-9
	m := a.reader("g", name, id)
	m.fetch("records", 2, func(req *kmsg.ShareFetchRequest) { req.MaxRecords = 5 })
	for _, bad := range []struct {
		what    string
		batches []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch
	}{
		{"backwards", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(2, 1, 1)}},
		{"without types", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 1)}},
		{"with too few types", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 2, 1, 1)}},
		{"with an unknown type", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 2, 5)}},
		{"with a negative type", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 2, -1)}},
		{"unannounced renewal", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 2, 4)}},
		{"out of order", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(3, 3, 1), ackOf(1, 1, 1)}},
		{"past what was acquired", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(5, 6, 1)}},
		{"far past it", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(100, 101, 1)}},
		{"one of two past it", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(0, 0, 1), ackOf(100, 101, 1)}},
		{"negative offsets", []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{ackOf(-2, -1, 1)}},
	} {
		m.acknowledge(bad.what, 2, bad.batches...)
		m.fetch(bad.what+", with a fetch", 2, m.acks(bad.batches...), func(req *kmsg.ShareFetchRequest) { req.MaxRecords = 0 })
	}
	m.acknowledge("renewal in version 1", 1, ackOf(0, 0, 4))
	m.acknowledge("accepting in the midst", 1, ackOf(1, 2, 1, 1))
	m.acknowledge("accepting it again", 2, ackOf(1, 2, 1))
	m.acknowledge("accepting what is before", 2, ackOf(0, 0, 1))
	m.acknowledge("accepting what is done with", 2, ackOf(0, 2, 1))
	m.acknowledge("releasing what is done with, and what is not", 2, ackOf(2, 3, 2))
	m.acknowledge("releasing it again", 2, ackOf(3, 3, 2))
	m.acknowledge("a gap", 2, ackOf(4, 4, 0))
	m.acknowledge("rejecting", 2, ackOf(5, 5, 3))
	m.fetch("what is left", 2)
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &m.group, &m.id, m.epoch
	a.ask("no topics", req, 2)
	m.epoch++
	m.topic = [16]byte{7, 7}
	m.acknowledge("a topic that does not exist", 2, ackOf(0, 0, 1))
	m.topic, m.partition = id, 9
	m.acknowledge("a partition that does not exist", 2, ackOf(0, 0, 1))
}

func shareRenewal(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 3)
	m := a.reader("g", name, id)
	m.fetch("records", 2)
	renew := func(req *kmsg.ShareFetchRequest) {
		req.IsRenewAck, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords = true, 0, 0, 0, 0
	}
	m.fetch("renewing with a fetch", 2, m.acks(ackOf(0, 5, 4)), renew)
	m.fetch("renewing, and asking for records", 2, m.acks(ackOf(0, 5, 4)), func(req *kmsg.ShareFetchRequest) { req.IsRenewAck = true })
	m.epoch--
	m.acknowledgeAs("renewing and accepting", 2, true, ackOf(0, 1, 4, 1), ackOf(2, 5, 4))
	m.acknowledgeAs("renewing what is accepted", 2, true, ackOf(1, 1, 4))
	m.acknowledgeAs("accepting, announced as renewal", 2, true, ackOf(0, 0, 1))
	m.acknowledge("accepting the rest", 2, ackOf(2, 5, 1))
}

func shareTwoMembers(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 3)
	m := a.reader("g", name, id)
	other := *m
	other.id = memberB
	m.fetch("the first member", 2, func(req *kmsg.ShareFetchRequest) { req.MaxRecords = 2 })
	other.fetch("the second member", 2)
	other.acknowledge("what the first one has", 2, ackOf(0, 0, 1))
	m.acknowledge("the first one releases", 2, ackOf(0, 2, 2))
	other.wait = 3_000
	other.fetch("the second one gets it", 2)
	other.fetch("the second one ends", 2, final)
	m.wait = 3_000
	m.fetch("the first one gets all", 2)
}

func shareUnknown(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 1)
	m := a.reader("g", name, id)
	real := m.topic
	m.topic = [16]byte{7, 7}
	m.fetch("a topic that does not exist", 2)
	m.epoch, m.topic, m.partition = 0, real, 9
	m.fetch("a partition that does not exist", 2)
	m.epoch, m.partition = 0, -1
	m.fetch("a negative partition", 2)
	m.epoch, m.partition = 0, 0
	m.fetch("nothing", 2, func(req *kmsg.ShareFetchRequest) { req.Topics = nil })
	m.epoch, m.group = 0, a.group("nobody")
	m.fetch("a group that has not begun", 2)
}

func badShareFetch(a *asker) {
	name, id := a.topic("t", 1)
	a.fill(name, id, 1)
	m := a.reader("g", name, id)
	long := "0123456789012345678901234567890123456"
	for _, bad := range []struct {
		what          string
		group, member *string
	}{
		{"no group", nil, &m.id}, {"no member", &m.group, nil}, {"an empty member", &m.group, new(string)}, {"a member of 37 characters", &m.group, &long},
	} {
		m.epoch = 0
		m.fetch(bad.what, 2, func(req *kmsg.ShareFetchRequest) { req.GroupID, req.MemberID = bad.group, bad.member })
		req := kmsg.NewPtrShareAcknowledgeRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch = bad.group, bad.member, 1
		a.ask(bad.what+" acknowledges", req, 2)
	}
	m.epoch, m.id = 0, long[:36]
	m.fetch("a member of 36 characters", 2)
	m.epoch, m.id = 0, memberA
	m.fetch("negative epochs", 2, func(req *kmsg.ShareFetchRequest) { req.ShareSessionEpoch = -5 })
	a.ask("an empty group", func() kmsg.Request { empty := ""; m.group, m.epoch = empty, 0; return m.request() }(), 2)
}
