package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// sessionFetch sends one fetch of a session and returns the reply.
func sessionFetch(c *nodetest.Client, version int16, id, epoch int32, parts ...fetchPart) *kmsg.FetchResponse {
	req := fetchRequest(parts...)
	req.SessionID, req.SessionEpoch = id, epoch
	return do[*kmsg.FetchResponse](c, version, req)
}

// partitionsIn lists the partitions of a reply as "topic-partition".
func partitionsIn(r *kmsg.FetchResponse) []string {
	var names []string
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			names = append(names, fmt.Sprintf("%s-%d", t.Topic, p.Partition))
		}
	}
	slices.Sort(names)
	return names
}

func wantPartitions(t *testing.T, what string, r *kmsg.FetchResponse, want ...string) {
	t.Helper()
	wantCode(t, what, r.ErrorCode, nil)
	if got := partitionsIn(r); !slices.Equal(got, want) {
		t.Errorf("%s: the reply has %v, want %v", what, got, want)
	}
}

// TestFetchSession: a session returns only what changed, takes changes of what is wanted, and ends when told (KIP-227).
func TestFetchSession(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 3)
	r := sessionFetch(c, 12, 0, 0, fetchPart{topic: "t"}, fetchPart{topic: "t", partition: 1})
	wantPartitions(t, "the full fetch", r, "t-0", "t-1")
	id := r.SessionID
	if id == 0 {
		t.Fatal("no session was granted")
	}
	wantPartitions(t, "nothing new", sessionFetch(c, 12, id, 1))
	produce(t, c, "t", 1, batchOf(t, record.Options{}, testTime))
	wantPartitions(t, "one partition moved", sessionFetch(c, 12, id, 2), "t-1")
	wantPartitions(t, "it is fetched on, another is added", sessionFetch(c, 12, id, 3,
		fetchPart{topic: "t", partition: 1, offset: 1}, fetchPart{topic: "t", partition: 2}), "t-2")

	forget := fetchRequest()
	forget.SessionID, forget.SessionEpoch = id, 4
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.Partitions = "t", []int32{2}
	forget.ForgottenTopics = append(forget.ForgottenTopics, f)
	wantPartitions(t, "one is forgotten", do[*kmsg.FetchResponse](c, 12, forget))
	for p := range int32(3) {
		produce(t, c, "t", p, batchOf(t, record.Options{}, testTime))
	}
	wantPartitions(t, "all three moved", sessionFetch(c, 12, id, 5), "t-0", "t-1")
	if r := sessionFetch(c, 12, id, -1); r.SessionID != 0 || r.ErrorCode != 0 {
		t.Errorf("ending the session: %+v", r)
	}
	wantCode(t, "after its end", sessionFetch(c, 12, id, 6).ErrorCode, kerr.FetchSessionIDNotFound)
}

func TestFetchSessionRefusals(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	topic := createTopic(t, c, "t", 1)
	wantCode(t, "no such session", sessionFetch(c, 12, 77, 1).ErrorCode, kerr.FetchSessionIDNotFound)
	id := sessionFetch(c, 12, 0, 0, fetchPart{topic: "t"}).SessionID
	wantCode(t, "an epoch too far", sessionFetch(c, 12, id, 2).ErrorCode, kerr.InvalidFetchSessionEpoch)
	wantCode(t, "IDs in a session of names", sessionFetch(c, 13, id, 1, fetchPart{id: topic}).ErrorCode, kerr.FetchSessionTopicIDError)
	wantCode(t, "the right epoch, after all that", sessionFetch(c, 12, id, 1).ErrorCode, nil)
	wantCode(t, "the same epoch again", sessionFetch(c, 12, id, 1).ErrorCode, kerr.InvalidFetchSessionEpoch)
}

// TestFetchSessionKeepsErrors: a partition that fails is in every reply until it is forgotten.
func TestFetchSessionKeepsErrors(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	good := createTopic(t, c, "t", 1)
	bad := model.TopicID{5}
	r := sessionFetch(c, 13, 0, 0, fetchPart{id: good}, fetchPart{id: bad})
	for epoch := int32(1); ; epoch++ {
		found := false
		for _, topic := range r.Topics {
			if topic.TopicID == bad {
				found = true
				wantCode(t, "the unknown ID", topic.Partitions[0].ErrorCode, kerr.UnknownTopicID)
			}
		}
		if !found {
			t.Fatalf("epoch %d: the failing partition is missing in %+v", epoch, r)
		}
		if epoch == 3 {
			return
		}
		r = sessionFetch(c, 13, r.SessionID, epoch)
	}
}

// TestFetchWithoutSlots: where no session can be had, a full fetch still works.
func TestFetchWithoutSlots(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"max.incremental.fetch.session.cache.slots": "0"}})
	c := b.Client()
	createTopic(t, c, "t", 1)
	r := sessionFetch(c, 12, 0, 0, fetchPart{topic: "t"})
	wantPartitions(t, "full fetch", r, "t-0")
	if r.SessionID != 0 {
		t.Errorf("session %d was granted, want none", r.SessionID)
	}
}
