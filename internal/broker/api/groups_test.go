package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/replica"
	"chronik/internal/wire"
)

// TestGroupMembers: a group's life in every version of the requests that make it.
func TestGroupMembers(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		for v := int16(0); v <= 9; v++ {
			id := fmt.Sprint("g", v)
			begun := time.Now()
			joined := say[*kmsg.JoinGroupResponse](c, v, joinRequest(id, ""))
			if v >= 4 {
				wantError(t, "joining without an ID", joined.ErrorCode, kerr.MemberIDRequired)
				joined = say[*kmsg.JoinGroupResponse](c, v, joinRequest(id, joined.MemberID))
			}
			wantError(t, "joining", joined.ErrorCode, nil)
			if waited := time.Since(begun); waited != 3*time.Second {
				t.Errorf("v%d: waited %v for more members", v, waited)
			}
			if joined.Generation != 1 || joined.LeaderID != joined.MemberID || *joined.Protocol != "range" || len(joined.Members) != 1 ||
				string(joined.Members[0].ProtocolMetadata) != "metadata" || !strings.HasPrefix(joined.MemberID, "client-") || len(joined.MemberID) != 43 {
				t.Errorf("v%d: joined %+v", v, joined)
			}
			sync := kmsg.NewPtrSyncGroupRequest()
			sync.Group, sync.Generation, sync.MemberID, sync.ProtocolType, sync.Protocol = id, 1, joined.MemberID, kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
			sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("mine")}}
			synced := say[*kmsg.SyncGroupResponse](c, min(v, 5), sync)
			if wantError(t, "syncing", synced.ErrorCode, nil); string(synced.MemberAssignment) != "mine" {
				t.Errorf("v%d: synced %+v", v, synced)
			}
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.Generation, beat.MemberID = id, 1, joined.MemberID
			wantError(t, "heartbeat", say[*kmsg.HeartbeatResponse](c, min(v, 4), beat).ErrorCode, nil)
			beat.Generation = 2
			wantError(t, "heartbeat of another generation", say[*kmsg.HeartbeatResponse](c, min(v, 4), beat).ErrorCode, kerr.IllegalGeneration)
			w.leaves(c, min(v, 5), id, joined.MemberID)
		}
	})
}

func (w *groupWorld) leaves(c *groupClient, v int16, id, member string) {
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = id, member
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member}, {MemberID: "nobody"}}
	left := say[*kmsg.LeaveGroupResponse](c, v, leave)
	wantError(w.t, "leaving", left.ErrorCode, nil)
	if v >= leaveMany {
		wantError(w.t, "leaving", left.Members[0].ErrorCode, nil)
		wantError(w.t, "leaving as nobody", left.Members[1].ErrorCode, kerr.UnknownMemberID)
		return
	}
	wantError(w.t, "leaving again", say[*kmsg.LeaveGroupResponse](c, v, leave).ErrorCode, kerr.UnknownMemberID)
}

// TestGroupsWithoutNames: what members ask of no group at all.
func TestGroupsWithoutNames(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		join, beat, leave, sync := joinRequest("", "m"), kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrSyncGroupRequest()
		if r := say[*kmsg.JoinGroupResponse](c, 9, join); r.ErrorCode != kerr.InvalidGroupID.Code || r.MemberID != "m" || r.Generation != -1 {
			t.Errorf("joining: %+v", r)
		}
		wantError(t, "heartbeat", say[*kmsg.HeartbeatResponse](c, 4, beat).ErrorCode, kerr.InvalidGroupID)
		wantError(t, "leaving", say[*kmsg.LeaveGroupResponse](c, 5, leave).ErrorCode, kerr.InvalidGroupID)
		wantError(t, "syncing as version 5 must not", say[*kmsg.SyncGroupResponse](c, 5, sync).ErrorCode, kerr.InconsistentGroupProtocol)
		wantError(t, "syncing", say[*kmsg.SyncGroupResponse](c, 4, sync).ErrorCode, kerr.InvalidGroupID)
		wantError(t, "deleting offsets", say[*kmsg.OffsetDeleteResponse](c, 0, kmsg.NewPtrOffsetDeleteRequest()).ErrorCode, kerr.InvalidGroupID)
	})
}

// TestDescribeGroups: what each version shows of groups with members, without, and of those that do not exist.
func TestDescribeGroups(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		joined := w.member(c, "full")
		wantError(t, "committing", say[*kmsg.OffsetCommitResponse](c, 8, commitRequest("simple", "t", 0, 5)).Topics[0].Partitions[0].ErrorCode, nil)
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{"full", "simple", "none", "full"}, true
		for v := int16(0); v <= 6; v++ {
			r := say[*kmsg.DescribeGroupsResponse](c, v, req)
			if len(r.Groups) != 3 {
				t.Fatalf("v%d: %d groups, want each once", v, len(r.Groups))
			}
			full, simple, none := r.Groups[0], r.Groups[1], r.Groups[2]
			if full.State != "Stable" || full.Protocol != "range" || full.ProtocolType != "consumer" || len(full.Members) != 1 ||
				full.Members[0].MemberID != joined.MemberID || full.Members[0].ClientID != "client" || full.Members[0].ClientHost != "/10.0.0.2" ||
				string(full.Members[0].ProtocolMetadata) != "metadata" || string(full.Members[0].MemberAssignment) != "all of it" {
				t.Errorf("v%d: %+v", v, full)
			}
			if simple.State != "Empty" || simple.ErrorCode != 0 || none.State != "Dead" {
				t.Errorf("v%d: %+v, %+v", v, simple, none)
			}
			if ops := full.AuthorizedOperations; v >= 3 && ops != groupOperations {
				t.Errorf("v%d: operations %b", v, ops)
			}
			want := kerr.GroupIDNotFound
			if v < describeNotFound {
				want = nil
			}
			wantError(t, "a group that does not exist", none.ErrorCode, want)
		}
	})
}

// TestListGroups: groups of all machines, sorted, with filters from the versions on that have them.
func TestListGroups(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		w.member(c, "full")
		want := []string{"full"}
		for i := range 20 {
			id := fmt.Sprint("simple-", i)
			want = append(want, id)
			say[*kmsg.OffsetCommitResponse](c, 8, commitRequest(id, "t", 0, 5))
		}
		slices.Sort(want)
		names := func(r *kmsg.ListGroupsResponse) (all []string) {
			for _, g := range r.Groups {
				all = append(all, g.Group)
			}
			return all
		}
		req := kmsg.NewPtrListGroupsRequest()
		for v := int16(0); v <= 5; v++ {
			r := say[*kmsg.ListGroupsResponse](c, v, req)
			if got := names(r); !slices.Equal(got, want) {
				t.Errorf("v%d: %v", v, got)
			}
			if g := r.Groups[0]; v >= 5 && (g.GroupType != "classic" || g.GroupState != "Stable" || g.ProtocolType != "consumer") {
				t.Errorf("v%d: %+v", v, g)
			}
		}
		req.StatesFilter = []string{"stable"}
		if got := names(say[*kmsg.ListGroupsResponse](c, 4, req)); !slices.Equal(got, []string{"full"}) {
			t.Errorf("stable groups: %v", got)
		}
		req.TypesFilter = []string{"consumer"}
		if got := names(say[*kmsg.ListGroupsResponse](c, 5, req)); len(got) != 0 {
			t.Errorf("consumer groups: %v", got)
		}
	})
}

// TestDeleteGroups: empty groups go with their offsets, each is answered once.
func TestDeleteGroups(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		w.member(c, "full")
		for v := int16(0); v <= 2; v++ {
			say[*kmsg.OffsetCommitResponse](c, 8, commitRequest("simple", "t", 0, 5))
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = []string{"full", "simple", "none", "simple"}
			r := say[*kmsg.DeleteGroupsResponse](c, v, req)
			if len(r.Groups) != 3 {
				t.Fatalf("v%d: %+v", v, r)
			}
			wantError(t, "a group with members", r.Groups[0].ErrorCode, kerr.NonEmptyGroup)
			wantError(t, "an empty group", r.Groups[1].ErrorCode, nil)
			wantError(t, "a group that does not exist", r.Groups[2].ErrorCode, kerr.GroupIDNotFound)
			if o := say[*kmsg.OffsetFetchResponse](c, 7, fetchRequest("simple", "t", 0)).Topics[0].Partitions[0].Offset; o != -1 {
				t.Errorf("offset %d of a group that was deleted", o)
			}
		}
	})
}

// TestWaitingMembersEnd: a member that waits for a generation waits for minutes, if need be, and not for a client that has gone or a broker
// that stops. Nothing of the request is left behind.
func TestWaitingMembersEnd(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		first, gone := w.client(), w.client()
		w.member(first, "g")
		ends := make(chan error, 1)
		go func() { // the handler's own end shows in the connection's
			gone.send(3, joinRequest("g", ""))
			_, err := gone.Read(make([]byte, 1))
			ends <- err
		}()
		synctest.Wait()
		gone.Close()
		if err := <-ends; err == nil {
			t.Error("the connection of a client that has gone was answered")
		}
		time.Sleep(15 * time.Second) // the sweeper looks for clients that have gone
		synctest.Wait()
		if n := w.server.Metrics().ConnectionsOpen.Load(); n != 1 {
			t.Errorf("%d connections are open, want the first member's", n)
		}

		join := joinRequest("g", "")
		second := w.client()
		second.send(3, join)
		synctest.Wait()
		w.shutdown()
		r := answered[*kmsg.JoinGroupResponse](second, join)
		wantError(t, "joining while the broker stops", r.ErrorCode, kerr.NotCoordinator)
	})
}

// TestE2WaitingMembersHoldNoFrame: what waits for other members, perhaps for minutes, holds no memory of requests, which all connections share.
func TestE2WaitingMembersHoldNoFrame(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		clients := make([]*groupClient, 1000)
		group := func(i int) string { return fmt.Sprint("g", i%10) }
		for i := range clients {
			clients[i] = w.client()
			clients[i].send(3, joinRequest(group(i), ""))
		}
		synctest.Wait()
		if n := w.budget.InUse(); n != 0 {
			t.Errorf("%d members that wait for their generation hold %d bytes", len(clients), n)
		}
		asked := joinRequest("", "")
		asked.SetVersion(3)
		for i, c := range clients {
			joined := answered[*kmsg.JoinGroupResponse](c, asked)
			wantError(t, "joining", joined.ErrorCode, nil)
			if joined.LeaderID == joined.MemberID {
				if len(joined.Members) != 100 || string(joined.Members[99].ProtocolMetadata) != "metadata" {
					t.Errorf("the leader of %s hears of %d members, the last one with %q", group(i), len(joined.Members), joined.Members[len(joined.Members)-1].ProtocolMetadata)
				}
				continue
			}
			sync := kmsg.NewPtrSyncGroupRequest()
			sync.Group, sync.Generation, sync.MemberID = group(i), joined.Generation, joined.MemberID
			c.send(3, sync)
		}
		synctest.Wait()
		if n := w.budget.InUse(); n != 0 {
			t.Errorf("%d members that wait for their leaders hold %d bytes", len(clients)-10, n)
		}
	})
}

// TestAnswersWaitForTheLog: nobody hears of what is not safe, nor waits for it for ever.
func TestAnswersWaitForTheLog(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		code := func(r *kmsg.OffsetCommitResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode }
		disk := make(chan struct{})
		w.groups.change(func() { w.groups.hold, w.groups.disk = true, disk })
		req := commitRequest("g", "t", 0, 5)
		c.send(8, req)
		synctest.Wait()
		begun := time.Now()
		wantError(t, "a commit that is not settled", code(answered[*kmsg.OffsetCommitResponse](c, req)), kerr.CoordinatorNotAvailable)
		if waited := time.Since(begun); waited != 5*time.Second {
			t.Errorf("answered after %v", waited)
		}
		close(disk)
		unstable := fetchRequest("g", "t", 0)
		unstable.RequireStable = true
		wantError(t, "an offset that may change", say[*kmsg.OffsetFetchResponse](c, 7, unstable).Topics[0].Partitions[0].ErrorCode, kerr.UnstableOffsetCommit)
		w.groups.change(func() { w.groups.hold = false })
		for _, tc := range []struct {
			err  error
			want *kerr.Error
		}{
			{replica.ErrNotEnoughReplicas, kerr.CoordinatorNotAvailable},
			{replica.ErrNotLeader, kerr.NotCoordinator},
			{replica.ErrStorage, kerr.NotCoordinator},
			{replica.ErrTooLarge, kerr.UnknownServerError},
		} {
			w.groups.change(func() { w.groups.refuse = tc.err })
			wantError(t, tc.err.Error(), code(say[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", 0, 6))), tc.want)
		}
		w.groups.change(func() { w.groups.refuse = nil })
		if o := say[*kmsg.OffsetFetchResponse](c, 7, fetchRequest("g", "t", 0)).Topics[0].Partitions[0].Offset; o != 5 {
			t.Errorf("offset %d, want that of the commit that was not refused", o)
		}
	})
}

// TestRequestsAreCopied: what outlives a request does not lie in its frame, which others are read into.
func TestRequestsAreCopied(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		r := &server.Request{Conn: new(server.Conn), ClientID: "client"}
		join := joinRequest("g", "")
		joined := w.joinGroup(w.t.Context(), r, join)
		clear(join.Protocols[0].Metadata)
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.Generation, sync.MemberID = "g", 1, joined.MemberID
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("assignment")}}
		w.syncGroup(w.t.Context(), r, sync)
		clear(sync.GroupAssignment[0].MemberAssignment)
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{"g"}
		m := w.describeGroups(w.t.Context(), r, describe).Groups[0].Members[0]
		if string(m.ProtocolMetadata) != "metadata" || string(m.MemberAssignment) != "assignment" {
			t.Errorf("the group has %q and %q", m.ProtocolMetadata, m.MemberAssignment)
		}
	})
}

// FuzzGroupRequests: whatever a client sends about groups gets an answer that can be written, and no panic (E2).
func FuzzGroupRequests(f *testing.F) {
	for _, req := range append(groupRequests(), kmsg.NewPtrFindCoordinatorRequest(), streamsJoin(), kmsg.NewPtrStreamsGroupDescribeRequest()) {
		full, err := fullRange(req.Key())
		if err != nil {
			f.Fatal(err)
		}
		for v := full[0]; v <= full[1]; v++ {
			req.SetVersion(v)
			f.Add(req.Key(), v, req.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		serve := served[kmsg.Key(key)]
		if key == wire.KeyOffsetCommit {
			serve = commitAndWait
		}
		if serve == nil || groupKeys[key] == 0 {
			return
		}
		withGroups(t, func(w *groupWorld) {
			r := &server.Request{Key: key, Version: version, Body: body, Conn: new(server.Conn)}
			in, err := w.decode(r)
			if err != nil {
				return
			}
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			out := versioned(serve(w.Broker, ctx, r, in), in)
			if again := in.ResponseKind(); again.ReadFrom(out.AppendTo(nil)) != nil {
				t.Errorf("%s v%d: the answer cannot be read: %+v", kmsg.NameForKey(key), version, out)
			}
		})
	})
}

func commitAndWait(b *Broker, _ context.Context, _ *server.Request, in kmsg.Request) kmsg.Response {
	answers := make(sent, 1)
	b.offsetCommit(in.(*kmsg.OffsetCommitRequest), false, answers)
	return <-answers
}

// sent is a slot's replies.
type sent chan kmsg.Response

func (s sent) Send(r kmsg.Response) { s <- r }
func (s sent) Detach()              {}

// groupKeys are the APIs of groups.
var groupKeys = map[int16]int{8: 1, 9: 1, 10: 1, 11: 1, 12: 1, 13: 1, 14: 1, 15: 1, 16: 1, 42: 1, 47: 1, 88: 1, 89: 1}

// streamsJoin joins a streams group.
func streamsJoin() *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis = "k", "m", 1000
	req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
		{SubtopologyID: "0", SourceTopics: []string{"t"}, StateChangelogTopics: []kmsg.TopicInfo{{Topic: "s"}}},
	}}
	return req
}
