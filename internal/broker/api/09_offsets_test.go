package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// fetched1 is the first offset of an answer, in the form of any version.
func firstOffset(r *kmsg.OffsetFetchResponse) kmsg.OffsetFetchResponseGroupTopicPartition {
	if r.Version >= fetchManyGroups {
		return r.Groups[0].Topics[0].Partitions[0]
	}
	return kmsg.OffsetFetchResponseGroupTopicPartition(r.Topics[0].Partitions[0])
}

// TestOffsets: what one version commits every version fetches.
func TestOffsets(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		id := w.store.Load().Topic("t").ID
		offset := int64(100)
		for v := int16(2); v <= 10; v++ {
			offset++
			commit := commitRequest("g", "t", 1, offset)
			commit.Topics[0].TopicID = id
			r := say[*kmsg.OffsetCommitResponse](c, v, commit)
			wantError(t, "committing", r.Topics[0].Partitions[0].ErrorCode, nil)
			if v >= commitTopicIDs && r.Topics[0].TopicID != id {
				t.Errorf("v%d: the answer is about %v", v, r.Topics[0].TopicID)
			}
			for fv := int16(1); fv <= 10; fv++ {
				fetch := fetchRequest("g", "t", 1, 1)
				fetch.Groups[0].Topics[0].TopicID = id
				got := firstOffset(say[*kmsg.OffsetFetchResponse](c, fv, fetch))
				if got.ErrorCode != 0 || got.Partition != 1 || got.Offset != offset || *got.Metadata != "note" {
					t.Errorf("committed v%d, fetched v%d: %+v", v, fv, got)
				}
				if want := int32(3); v >= 6 && fv >= 5 && got.LeaderEpoch != want || (v < 6 || fv < 5) && got.LeaderEpoch != -1 {
					t.Errorf("committed v%d, fetched v%d: epoch %d", v, fv, got.LeaderEpoch)
				}
			}
		}
	})
}

// TestFetchAllOffsets: null is everything, an empty list nothing; several groups are answered in one go, each once.
func TestFetchAllOffsets(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		id, u := w.store.Load().Topic("t").ID, w.createTopic("u", 1)
		for _, p := range []struct {
			group, topic string
			partition    int32
		}{{"g", "t", 1}, {"g", "u", 0}, {"g", "t", 0}, {"h", "t", 0}} {
			say[*kmsg.OffsetCommitResponse](c, 8, commitRequest(p.group, p.topic, p.partition, 5))
		}
		for v := int16(2); v <= 7; v++ {
			req := fetchRequest("g", "")
			req.Topics = nil
			r := say[*kmsg.OffsetFetchResponse](c, v, req)
			if len(r.Topics) != 2 || r.Topics[0].Topic != "t" || len(r.Topics[0].Partitions) != 2 || r.Topics[1].Topic != "u" || r.Topics[1].Partitions[0].Offset != 5 {
				t.Errorf("v%d: %+v", v, r)
			}
			req.Topics = []kmsg.OffsetFetchRequestTopic{}
			if r := say[*kmsg.OffsetFetchResponse](c, v, req); len(r.Topics) != 0 {
				t.Errorf("v%d, nothing: %+v", v, r)
			}
		}
		for v := int16(8); v <= 10; v++ {
			req := fetchRequest("g", "")
			req.Groups[0].Topics = nil
			some := kmsg.NewOffsetFetchRequestGroup()
			some.Group, some.Topics = "h", []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: id, Partitions: []int32{0, 1}}}
			none := kmsg.NewOffsetFetchRequestGroup()
			none.Group = "none"
			req.Groups = append(req.Groups, some, none, req.Groups[0])
			r := say[*kmsg.OffsetFetchResponse](c, v, req)
			if len(r.Groups) != 3 || len(r.Groups[0].Topics) != 2 || len(r.Groups[2].Topics) != 0 || r.Groups[2].ErrorCode != 0 {
				t.Fatalf("v%d: %+v", v, r)
			}
			if v >= fetchTopicIDs && (r.Groups[0].Topics[0].TopicID != id || r.Groups[0].Topics[1].TopicID != u) {
				t.Errorf("v%d: %+v", v, r.Groups[0])
			}
			if p := r.Groups[1].Topics[0].Partitions; p[0].Offset != 5 || p[1].Offset != -1 || p[1].ErrorCode != 0 {
				t.Errorf("v%d: %+v", v, p)
			}
		}
	})
}

// TestOffsetsOfUnknownTopics: offsets are kept for partitions that exist.
func TestOffsetsOfUnknownTopics(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		id := w.store.Load().Topic("t").ID
		for v := int16(2); v <= 10; v++ {
			want := kerr.UnknownTopicOrPartition
			if v >= commitTopicIDs {
				want = kerr.UnknownTopicID
			}
			req := commitRequest("g", "none", 0, 5)
			req.Topics[0].TopicID = model.NewTopicID()
			wantError(t, "another topic", say[*kmsg.OffsetCommitResponse](c, v, req).Topics[0].Partitions[0].ErrorCode, want)
			for _, n := range []int32{-1, 2} {
				req := commitRequest("g", "t", n, 5)
				req.Topics[0].TopicID = id
				wantError(t, "another partition", say[*kmsg.OffsetCommitResponse](c, v, req).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
			}
		}
		fetch := fetchRequest("g", "t", 0)
		fetch.Groups[0].Topics[0].TopicID = model.NewTopicID()
		wantError(t, "fetching by another ID", firstOffset(say[*kmsg.OffsetFetchResponse](c, 10, fetch)).ErrorCode, kerr.UnknownTopicID)
	})
}

// TestL5OffsetsOfATopicThatWas: a topic that is deleted and created again has no offsets.
func TestL5OffsetsOfATopicThatWas(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		say[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", 0, 5))
		w.commit(command.Delete(w.store.Load().Topic("t").ID))
		id := w.createTopic("t", 2) // and the coordinator has not heard of it yet
		for v := int16(1); v <= 10; v++ {
			fetch := fetchRequest("g", "t", 0)
			fetch.Groups[0].Topics[0].TopicID = id
			if got := firstOffset(say[*kmsg.OffsetFetchResponse](c, v, fetch)); got.Offset != -1 || got.ErrorCode != 0 {
				t.Errorf("v%d: %+v", v, got)
			}
		}
		all := fetchRequest("g", "")
		all.Groups[0].Topics = nil
		if r := say[*kmsg.OffsetFetchResponse](c, 10, all); len(r.Groups[0].Topics) != 0 {
			t.Errorf("all of them: %+v", r.Groups[0])
		}
	})
}

// TestCommitsOfMembers: who commits for a generation must be of it. Members of a group that is gone hear what their version knows.
func TestCommitsOfMembers(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		m := w.member(c, "g")
		id := w.store.Load().Topic("t").ID
		for v := int16(2); v <= 10; v++ {
			code := func(group, member string, generation int32) int16 {
				req := commitRequest(group, "t", 0, 5)
				req.Topics[0].TopicID, req.MemberID, req.Generation = id, member, generation
				return say[*kmsg.OffsetCommitResponse](c, v, req).Topics[0].Partitions[0].ErrorCode
			}
			wantError(t, "a member", code("g", m.MemberID, 1), nil)
			wantError(t, "another generation", code("g", m.MemberID, 2), kerr.IllegalGeneration)
			wantError(t, "another member", code("g", "nobody", 1), kerr.UnknownMemberID)
			wantError(t, "nobody", code("g", "", -1), kerr.UnknownMemberID)
			want := kerr.IllegalGeneration
			if v >= commitNamesMissingGroup {
				want = kerr.GroupIDNotFound
			}
			wantError(t, "a group that does not exist", code("none", "m", 1), want)
		}
		long := commitRequest("h", "t", 0, 5)
		long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 101)))
		wantError(t, "too long a note", say[*kmsg.OffsetCommitResponse](c, 8, long).Topics[0].Partitions[0].ErrorCode, kerr.OffsetMetadataTooLarge)
	})
}

// TestDeleteOffsets: offsets of topics that a member is subscribed to stay.
func TestDeleteOffsets(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		say[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", 0, 5))
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = "g"
		req.Topics = []kmsg.OffsetDeleteRequestTopic{
			{Topic: "none", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}},
			{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 9}, {Partition: 0}, {Partition: 1}}},
		}
		r := say[*kmsg.OffsetDeleteResponse](c, 0, req)
		wantError(t, "a topic that does not exist", r.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		wantError(t, "a partition that does not exist", r.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		wantError(t, "an offset", r.Topics[1].Partitions[1].ErrorCode, nil)
		wantError(t, "no offset", r.Topics[1].Partitions[2].ErrorCode, nil)
		if got := firstOffset(say[*kmsg.OffsetFetchResponse](c, 7, fetchRequest("g", "t", 0))); got.Offset != -1 {
			t.Errorf("the offset is %d", got.Offset)
		}
		req.Group = "none"
		if r := say[*kmsg.OffsetDeleteResponse](c, 0, req); r.ErrorCode != kerr.GroupIDNotFound.Code || len(r.Topics) != 0 {
			t.Errorf("a group that does not exist: %+v", r)
		}
	})
}
