package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// shareWorld is a broker with a topic t of two partitions, which group g has begun to read from the first record on.
type shareWorld struct {
	t      *testing.T
	broker *nodetest.Broker
	admin  *nodetest.Client
	topic  model.TopicID
}

func newShareWorld(t *testing.T) *shareWorld {
	w := &shareWorld{t: t, broker: nodetest.Start(t, nodetest.Options{})}
	w.admin = w.broker.Client()
	w.topic = createTopic(t, w.admin, "t", 2)
	req := kmsg.NewPtrInitializeShareGroupStateRequest()
	req.GroupID = "g"
	topic := kmsg.NewInitializeShareGroupStateRequestTopic()
	topic.TopicID = w.topic
	for n := range int32(2) {
		p := kmsg.NewInitializeShareGroupStateRequestTopicPartition()
		p.Partition, p.StateEpoch, p.StartOffset = n, 1, 0
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	for began := time.Now(); time.Since(began) < 20*time.Second; { // until the topic of the state, which is created for it, is led
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorType, find.CoordinatorKeys = 2, []string{shareKey(w.topic, 0)}
		if code := do[*kmsg.FindCoordinatorResponse](w.admin, 6, find).Coordinators[0].ErrorCode; code != 0 && code != kerr.CoordinatorNotAvailable.Code {
			t.Fatal(kerr.ErrorForCode(code))
		}
		resp := do[*kmsg.InitializeShareGroupStateResponse](w.admin, 0, req)
		if codes := resp.Topics[0].Partitions; codes[0].ErrorCode == 0 && codes[1].ErrorCode == 0 {
			return w
		}
	}
	t.Fatal("the state of the share partitions could not be initialized")
	return nil
}

// shareKey is under what the coordinator of a share partition is found.
func shareKey(topic model.TopicID, partition int32) string {
	return "g:" + topic.String() + ":" + string(rune('0'+partition))
}

// shareMember is a member of group g on a connection of its own.
type shareMember struct {
	w     *shareWorld
	c     *nodetest.Client
	id    string
	epoch int32
	wait  int32
	edit  func(*kmsg.ShareFetchRequest)
}

func (w *shareWorld) member(id string) *shareMember {
	return &shareMember{w: w, c: w.broker.Client(), id: id, edit: func(*kmsg.ShareFetchRequest) {}}
}

// request is the next fetch, of both partitions, with acknowledgements of the first one.
func (m *shareMember) request(acks ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	group := "g"
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &m.id, m.epoch
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = m.wait, 1, 1<<20, 500, 500
	if m.epoch == 0 || len(acks) > 0 {
		t := kmsg.NewShareFetchRequestTopic()
		t.TopicID = m.w.topic
		for n := range int32(2) {
			p := kmsg.NewShareFetchRequestTopicPartition()
			if p.Partition = n; n == 0 {
				p.AcknowledgementBatches = acks
			}
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	m.edit(req)
	m.epoch++
	return req
}

func (m *shareMember) fetch(version int16, acks ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) *kmsg.ShareFetchResponse {
	m.w.t.Helper()
	return do[*kmsg.ShareFetchResponse](m.c, version, m.request(acks...))
}

// loaded fetches until there is something: share partitions are loaded with the first fetch.
func (m *shareMember) loaded(version int16) *kmsg.ShareFetchResponse {
	m.w.t.Helper()
	m.wait = 60_000
	return m.fetch(version)
}

func ackOf(first, last int64, types ...int8) kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch {
	b := kmsg.NewShareFetchRequestTopicPartitionAcknowledgementBatch()
	b.FirstOffset, b.LastOffset, b.AcknowledgeTypes = first, last, types
	return b
}

// acquired is what a response gives of a partition, as first, last and deliveries.
func acquired(resp *kmsg.ShareFetchResponse, partition int32) (out [][3]int64) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for _, a := range p.AcquiredRecords {
				if p.Partition == partition {
					out = append(out, [3]int64{a.FirstOffset, a.LastOffset, int64(a.DeliveryCount)})
				}
			}
		}
	}
	return out
}

func (w *shareWorld) produce(partition int32, records int) record.Batch {
	w.t.Helper()
	b := batchOf(w.t, record.Options{}, slices.Repeat([]int64{testTime}, records)...)
	produce(w.t, w.admin, "t", partition, b)
	return b
}

// acknowledge sends a ShareAcknowledge about partition 0 and returns the codes of the request and of the partition.
func (m *shareMember) acknowledge(version int16, renew bool, b kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) (whole, partition int16) {
	m.w.t.Helper()
	req := kmsg.NewPtrShareAcknowledgeRequest()
	group := "g"
	req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck = &group, &m.id, m.epoch, renew
	t := kmsg.NewShareAcknowledgeRequestTopic()
	t.TopicID = m.w.topic
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	p.AcknowledgementBatches = []kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{{FirstOffset: b.FirstOffset, LastOffset: b.LastOffset, AcknowledgeTypes: b.AcknowledgeTypes}}
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	m.epoch++
	resp := do[*kmsg.ShareAcknowledgeResponse](m.c, version, req)
	if resp.ErrorCode != 0 {
		return resp.ErrorCode, 0
	}
	if version >= 2 && resp.AcquisitionLockTimeoutMillis != 30_000 {
		m.w.t.Errorf("the lock's duration is said to be %d ms", resp.AcquisitionLockTimeoutMillis)
	}
	return 0, resp.Topics[0].Partitions[0].ErrorCode
}

// TestShareFetch: in each version a member gets records and acknowledges them with the next fetch and by themselves.
func TestShareFetch(t *testing.T) {
	w := newShareWorld(t)
	sent := w.produce(0, 10)
	for v := int16(1); v <= 2; v++ {
		m := w.member([]string{"", "one", "two"}[v])
		resp := m.loaded(v)
		wantCode(t, "fetch", resp.ErrorCode, nil)
		if resp.AcquisitionLockTimeoutMillis != 30_000 {
			t.Errorf("v%d: the lock's duration is said to be %d ms", v, resp.AcquisitionLockTimeoutMillis)
		}
		first := int64(v-1) * 5
		if got := acquired(resp, 0); !slices.Equal(got, [][3]int64{{first, 9, int64(v)}}) {
			t.Fatalf("v%d: acquired %v", v, got)
		}
		if r := resp.Topics[0].Partitions[0].Records; len(r) != len(sent) {
			t.Errorf("v%d: %d bytes of records, want the batch's %d", v, len(r), len(sent))
		}
		m.wait = 0
		if again := acquired(m.fetch(v), 0); again != nil {
			t.Errorf("v%d: acquired %v again", v, again)
		}
		acked := m.fetch(v, ackOf(first, first+1, 1), ackOf(first+2, first+2, 3))
		if p := acked.Topics[0].Partitions[0]; p.AcknowledgeErrorCode != 0 || p.ErrorCode != 0 {
			t.Errorf("v%d: acknowledging: %+v", v, p)
		}
		whole, part := m.acknowledge(v, false, ackOf(first+3, first+4, 1, 1))
		wantCode(t, "acknowledging", whole, nil)
		wantCode(t, "acknowledging", part, nil)
		_, part = m.acknowledge(v, false, ackOf(first+3, first+4, 1, 1))
		wantCode(t, "acknowledging twice what is done with", part, nil)
		m.epoch = -1
		if last := m.fetch(v); last.ErrorCode != 0 || acquired(last, 0) != nil {
			t.Errorf("v%d: the last fetch: %+v", v, last)
		}
	}
}

// TestShareFetchWaits: a fetch that finds nothing waits for records, on either partition, and for what the end of a connection releases.
func TestShareFetchWaits(t *testing.T) {
	w := newShareWorld(t)
	a, b := w.member("a"), w.member("b")
	a.wait, b.wait = 1<<30, 1<<30
	send := func(m *shareMember) {
		req := m.request()
		req.SetVersion(2)
		m.c.Send(req)
	}
	send(a)
	w.produce(1, 2)
	if got := acquired(a.c.Receive().(*kmsg.ShareFetchResponse), 1); !slices.Equal(got, [][3]int64{{0, 1, 1}}) {
		t.Fatalf("acquired %v", got)
	}
	send(b)
	a.c.Close()
	if got := acquired(b.c.Receive().(*kmsg.ShareFetchResponse), 1); !slices.Equal(got, [][3]int64{{0, 1, 2}}) {
		t.Fatalf("acquired %v", got)
	}
}

// TestShareFetchModes: max_records holds exactly in one mode, and to the end of the batch in the other.
func TestShareFetchModes(t *testing.T) {
	w := newShareWorld(t)
	w.produce(0, 10)
	w.produce(0, 10)
	m := w.member("m")
	m.edit = func(req *kmsg.ShareFetchRequest) { req.MaxRecords, req.ShareAcquireMode = 4, 1 }
	if got := acquired(m.loaded(2), 0); !slices.Equal(got, [][3]int64{{0, 3, 1}}) {
		t.Errorf("with a limit: acquired %v", got)
	}
	m.edit = func(req *kmsg.ShareFetchRequest) { req.MaxRecords = 4 }
	if got := acquired(m.fetch(1), 0); !slices.Equal(got, [][3]int64{{4, 9, 1}}) {
		t.Errorf("batch optimized: acquired %v", got)
	}
	m.edit = func(req *kmsg.ShareFetchRequest) { req.MaxRecords = 0 }
	if got := m.fetch(1); got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("no records are wanted: %+v", got)
	}
}

// TestShareRenewal: who renews has its records longer, must announce it, and fetches nothing with it (KIP-1222).
func TestShareRenewal(t *testing.T) {
	w := newShareWorld(t)
	w.produce(0, 2)
	m := w.member("m")
	m.loaded(2)
	m.edit = func(req *kmsg.ShareFetchRequest) {
		req.IsRenewAck, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords = true, 0, 0, 0, 0
	}
	if got := m.fetch(2, ackOf(0, 0, 4)); got.ErrorCode != 0 || got.Topics[0].Partitions[0].AcknowledgeErrorCode != 0 {
		t.Errorf("renewing with a fetch: %+v", got)
	}
	m.edit = func(req *kmsg.ShareFetchRequest) { req.IsRenewAck = true }
	wantCode(t, "renewing and fetching", m.fetch(2, ackOf(0, 0, 4)).ErrorCode, kerr.InvalidRequest)
	m.epoch-- // the session has not seen it
	_, code := m.acknowledge(2, true, ackOf(0, 1, 4, 1))
	wantCode(t, "renewing one of two", code, nil)
	_, code = m.acknowledge(2, false, ackOf(0, 0, 4))
	wantCode(t, "renewing unannounced", code, kerr.InvalidRequest)
	_, code = m.acknowledge(1, false, ackOf(0, 0, 4))
	wantCode(t, "renewing in version 1", code, kerr.InvalidRequest)
	_, code = m.acknowledge(2, false, ackOf(0, 0, 1))
	wantCode(t, "accepting what was renewed", code, nil)
}

// TestShareRefusals: of members, sessions, partitions and acknowledgements.
func TestShareRefusals(t *testing.T) {
	w := newShareWorld(t)
	w.produce(0, 5)
	m := w.member("m")
	m.loaded(2)
	for _, tc := range []struct {
		name string
		edit func(*kmsg.ShareFetchRequest)
		want *kerr.Error
	}{
		{"no group", func(r *kmsg.ShareFetchRequest) { r.GroupID = nil }, kerr.InvalidRequest},
		{"no member", func(r *kmsg.ShareFetchRequest) { r.MemberID = nil }, kerr.InvalidRequest},
		{"an empty member", func(r *kmsg.ShareFetchRequest) { r.MemberID = kmsg.StringPtr("") }, kerr.InvalidRequest},
		{"a long member", func(r *kmsg.ShareFetchRequest) { r.MemberID = kmsg.StringPtr(strings.Repeat("m", 37)) }, kerr.InvalidRequest},
		{"a member without a session", func(r *kmsg.ShareFetchRequest) { r.MemberID = kmsg.StringPtr("other") }, kerr.ShareSessionNotFound},
		{"the end of no session", func(r *kmsg.ShareFetchRequest) { r.MemberID, r.ShareSessionEpoch = kmsg.StringPtr("other"), -1 }, kerr.ShareSessionNotFound},
		{"another epoch", func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch = 7 }, kerr.InvalidShareSessionEpoch},
	} {
		m.edit, m.epoch = tc.edit, 1
		wantCode(t, tc.name, m.fetch(2).ErrorCode, tc.want)
	}
	m.edit, m.epoch = func(*kmsg.ShareFetchRequest) {}, 0
	wantCode(t, "beginning with acknowledgements", m.fetch(2, ackOf(0, 0, 1)).ErrorCode, kerr.InvalidRequest)
	m.epoch = 1
	for _, tc := range []struct {
		name string
		ack  kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch
		want *kerr.Error
	}{
		{"backwards", ackOf(2, 1, 1), kerr.InvalidRequest},
		{"no types", ackOf(0, 1), kerr.InvalidRequest},
		{"too few types", ackOf(0, 2, 1, 1), kerr.InvalidRequest},
		{"an unknown type", ackOf(0, 1, 9), kerr.InvalidRequest},
		{"never acquired", ackOf(4, 5, 1), kerr.InvalidRequest},
		{"accepted", ackOf(1, 1, 1), nil},
		{"accepted again", ackOf(1, 1, 1), kerr.InvalidRecordState},
	} {
		whole, code := m.acknowledge(2, false, tc.ack)
		wantCode(t, tc.name, whole, nil)
		wantCode(t, tc.name, code, tc.want)
	}
	other := w.member("another one")
	other.wait = 0
	other.fetch(2)
	_, code := other.acknowledge(2, false, ackOf(0, 0, 1))
	wantCode(t, "what somebody else has", code, kerr.InvalidRecordState)
	whole, _ := w.member("nobody").acknowledge(2, false, ackOf(0, 0, 1))
	wantCode(t, "epoch 0", whole, kerr.InvalidShareSessionEpoch)
}

// TestShareFetchUnknown: partitions that there are not, and share partitions that nobody has begun.
func TestShareFetchUnknown(t *testing.T) {
	w := newShareWorld(t)
	m := w.member("m")
	other := createTopic(t, w.admin, "other", 1)
	began := time.Now()
	m.wait = 1 << 30
	m.edit = func(req *kmsg.ShareFetchRequest) {
		unknown := kmsg.NewShareFetchRequestTopic()
		unknown.TopicID, unknown.Partitions = model.TopicID{1}, []kmsg.ShareFetchRequestTopicPartition{{}}
		req.Topics[0].Partitions[1].Partition = 9
		req.Topics = append(req.Topics, unknown)
	}
	got := make(map[int32]int16)
	resp := m.fetch(2)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.TopicID == w.topic {
				got[p.Partition] = p.ErrorCode
			} else {
				got[-1] = p.ErrorCode
			}
		}
	}
	wantCode(t, "an unknown topic", got[-1], kerr.UnknownTopicID)
	wantCode(t, "an unknown partition", got[9], kerr.UnknownTopicOrPartition)
	wantCode(t, "a partition beside them", got[0], nil)
	m.epoch, m.edit = 0, func(req *kmsg.ShareFetchRequest) {
		req.Topics[0].TopicID, req.Topics[0].Partitions = other, req.Topics[0].Partitions[:1]
	}
	resp = m.fetch(2)
	wantCode(t, "a share partition that nobody has begun", resp.Topics[0].Partitions[0].ErrorCode, kerr.UnknownServerError)
	if time.Since(began) > time.Minute {
		t.Errorf("refusals took %v", time.Since(began))
	}
}
