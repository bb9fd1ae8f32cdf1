package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// firstEpoch is that of a group's first member, as Kafka has it.
const firstEpoch = 2

func consumerJoin(id, member string, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis, req.SubscribedTopicNames = id, member, 60_000, topics
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

// TestConsumerGroup: a group of the new protocol from its first member to its last one, in each version.
func TestConsumerGroup(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		topic := w.image().Topic("t").ID
		c := w.client()
		for v := range int16(2) {
			id := []string{"g0", "g1"}[v]
			req := consumerJoin(id, []string{"", "m"}[v], "t")
			joined := say[*kmsg.ConsumerGroupHeartbeatResponse](c, v, req)
			wantError(t, "joining", joined.ErrorCode, nil)
			if joined.MemberEpoch != firstEpoch || joined.MemberID == nil || *joined.MemberID == "" || joined.HeartbeatIntervalMillis != 5000 ||
				joined.Assignment == nil || len(joined.Assignment.Topics) != 1 || joined.Assignment.Topics[0].TopicID != topic || len(joined.Assignment.Topics[0].Partitions) != 2 {
				t.Fatalf("v%d: joined %+v", v, joined)
			}
			beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			beat.Group, beat.MemberID, beat.MemberEpoch = id, *joined.MemberID, firstEpoch
			if still := say[*kmsg.ConsumerGroupHeartbeatResponse](c, v, beat); still.ErrorCode != 0 || still.MemberEpoch != firstEpoch || still.Assignment != nil {
				t.Errorf("v%d: still there: %+v", v, still)
			}
			w.describedAs(c, v, id, *joined.MemberID)
			w.commits(c, id, *joined.MemberID)
			beat.MemberEpoch = 7
			wantError(t, "another epoch", say[*kmsg.ConsumerGroupHeartbeatResponse](c, v, beat).ErrorCode, kerr.FencedMemberEpoch)
			beat.MemberEpoch = -1
			if left := say[*kmsg.ConsumerGroupHeartbeatResponse](c, v, beat); left.ErrorCode != 0 || left.MemberEpoch != -1 {
				t.Errorf("v%d: left: %+v", v, left)
			}
			wantError(t, "leaving twice", say[*kmsg.ConsumerGroupHeartbeatResponse](c, v, beat).ErrorCode, kerr.UnknownMemberID)
		}
	})
}

func (w *groupWorld) describedAs(c *groupClient, v int16, id, member string) {
	w.t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{id, "nobody", id}, true
	resp := say[*kmsg.ConsumerGroupDescribeResponse](c, v, req)
	if len(resp.Groups) != 2 {
		w.t.Fatalf("%d groups are described", len(resp.Groups))
	}
	wantError(w.t, "a group that does not exist", resp.Groups[1].ErrorCode, kerr.GroupIDNotFound)
	g := resp.Groups[0]
	if g.ErrorCode != 0 || g.Group != id || g.State != "Stable" || g.Epoch != firstEpoch || g.AssignmentEpoch != firstEpoch || g.AssignorName != "uniform" ||
		g.AuthorizedOperations != groupOperations || len(g.Members) != 1 {
		w.t.Fatalf("described as %+v", g)
	}
	m := g.Members[0]
	if m.MemberID != member || m.MemberEpoch != firstEpoch || m.ClientID != "client" || len(m.SubscribedTopics) != 1 || len(m.Assignment.TopicPartitions) != 1 ||
		m.Assignment.TopicPartitions[0].Topic != "t" || len(m.TargetAssignment.TopicPartitions) != 1 || v > 0 && m.MemberType != consumerMember {
		w.t.Errorf("its member is described as %+v", m)
	}
}

// commits: members commit and fetch with their epoch, which versions before 9 do not know.
func (w *groupWorld) commits(c *groupClient, id, member string) {
	w.t.Helper()
	commit := commitRequest(id, "t", 0, 5)
	commit.MemberID, commit.Generation = member, firstEpoch
	for v := int16(2); v < 9; v++ {
		wantError(w.t, "committing without epochs", say[*kmsg.OffsetCommitResponse](c, v, commit).Topics[0].Partitions[0].ErrorCode, kerr.UnsupportedVersion)
	}
	for epoch, want := range map[int32]*kerr.Error{firstEpoch: nil, firstEpoch + 1: kerr.StaleMemberEpoch} {
		commit.MemberID, commit.Generation = member, epoch
		wantError(w.t, "committing", say[*kmsg.OffsetCommitResponse](c, 9, commit).Topics[0].Partitions[0].ErrorCode, want)
		fetch := fetchRequest(id, "t", 0)
		fetch.Groups[0].MemberID, fetch.Groups[0].MemberEpoch = &member, epoch
		fetched := say[*kmsg.OffsetFetchResponse](c, 9, fetch).Groups[0]
		if wantError(w.t, "fetching", fetched.ErrorCode, want); want != nil && len(fetched.Topics) > 0 {
			w.t.Errorf("%v of a whole group comes with %+v", want, fetched.Topics)
		}
	}
}

// TestConsumerGroupRefusals: what is wrong has Kafka's codes.
func TestConsumerGroupRefusals(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		for _, x := range []struct {
			what   string
			change func(*kmsg.ConsumerGroupHeartbeatRequest)
			want   *kerr.Error
		}{
			{"no group", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" }, kerr.InvalidGroupID},
			{"no member", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" }, kerr.InvalidRequest},
			{"no subscription", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }, kerr.InvalidRequest},
			{"an assignor that is none", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("x") }, kerr.UnsupportedAssignor},
			{"a pattern that is none", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = kmsg.StringPtr("(") }, kerr.InvalidRegularExpression},
			{"an epoch of no group", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 3 }, kerr.GroupIDNotFound},
		} {
			req := consumerJoin("g", "m", "t")
			x.change(req)
			resp := say[*kmsg.ConsumerGroupHeartbeatResponse](c, 1, req)
			if wantError(t, x.what, resp.ErrorCode, x.want); resp.ErrorMessage == nil {
				t.Errorf("%s: nothing is said", x.what)
			}
		}
		a, b := consumerJoin("g", "a", "t"), consumerJoin("g", "b", "t")
		a.InstanceID, b.InstanceID = kmsg.StringPtr("i"), kmsg.StringPtr("i")
		wantError(t, "a static member", say[*kmsg.ConsumerGroupHeartbeatResponse](c, 1, a).ErrorCode, nil)
		wantError(t, "its place", say[*kmsg.ConsumerGroupHeartbeatResponse](c, 1, b).ErrorCode, kerr.UnreleasedInstanceID)
		<-time.After(46 * time.Second)
		wantError(t, "its place when its session is over", say[*kmsg.ConsumerGroupHeartbeatResponse](c, 1, b).ErrorCode, nil)
	})
}
