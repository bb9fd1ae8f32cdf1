package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func groupProbes() []probe {
	return []probe{
		{"groups/members", groupMembers},
		{"groups/bad-members", badMembers},
		{"groups/static-members", staticMembers},
		{"groups/rebalance", rebalance},
		{"groups/describe", describeGroups},
		{"groups/list", listGroups},
		{"groups/delete", deleteGroups},
	}
}

// subscription is what a consumer tells its leader: that it is subscribed to one topic or none, and some data. Kafka reads it.
func subscription(topic, data string) []byte {
	b := []byte{0, 0, 0, 0, 0, 0}
	if topic != "" {
		b[5] = 1
		b = append(append(b, 0, byte(len(topic))), topic...)
	}
	return append(append(b, 0, 0, 0, byte(len(data))), data...)
}

func joinRequest(group, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, member, "consumer", 30_000, 5_000
	for _, name := range []string{"range", "roundrobin"} {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription("", name)
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

func syncRequest(group, member string, generation int32) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	return req
}

func assigning(req *kmsg.SyncGroupRequest, members ...string) *kmsg.SyncGroupRequest {
	for i, m := range members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m, fmt.Appendf(nil, "share %d", i)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func heartbeatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	return req
}

// leaveRequest has one member for the versions that take one, and all for the others.
func leaveRequest(group string, members ...string) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, members[0]
	for _, m := range members {
		l := kmsg.NewLeaveGroupRequestMember()
		l.MemberID = m
		req.Members = append(req.Members, l)
	}
	return req
}

// group is a group of this probe's, whose coordinator is the asked broker, and ready. Others coordinate others: a name has as many tags at its end as
// it takes.
func (a *asker) group(purpose string) string {
	name := a.topicName(purpose)
	for node := a.node(); a.coordinated(0, name) != node; {
		name += a.tag
	}
	a.until("its coordinator serves "+name, func() bool {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{name}
		return a.quiet(req, 5).(*kmsg.DescribeGroupsResponse).Groups[0].ErrorCode == 0
	})
	return name
}

// member is the only member of a new group, with an assignment.
func (a *asker) member(purpose string) (group string, joined *kmsg.JoinGroupResponse) {
	group = a.group(purpose)
	joined = a.quiet(joinRequest(group, ""), 3).(*kmsg.JoinGroupResponse)
	a.quiet(assigning(syncRequest(group, joined.MemberID, joined.Generation), joined.MemberID), 3)
	return group, joined
}

// background sends a request over a connection of its own; what it returns waits for the answer and writes it down.
func (a *asker) background(req kmsg.Request, version int16) (answer func(question string) kmsg.Response) {
	c, err := dial(a.server)
	a.must(err)
	req.SetVersion(version)
	id, err := c.send(req)
	a.must(err)
	return func(question string) kmsg.Response {
		defer c.Close()
		resp, err := c.receive(req, id)
		a.must(err)
		a.answered(question, resp)
		return resp
	}
}

func groupMembers(a *asker) {
	for v := int16(0); v <= 9; v++ {
		group := a.group(fmt.Sprint("g", v))
		joined := a.ask("joining without an ID", joinRequest(group, ""), v).(*kmsg.JoinGroupResponse)
		if v >= 4 {
			joined = a.ask("joining with the ID", joinRequest(group, joined.MemberID), v).(*kmsg.JoinGroupResponse)
		}
		a.question("who leads (v%d)", v)
		a.say("the member: %v", joined.LeaderID == joined.MemberID)
		me := joined.MemberID
		again := joinRequest(group, me)
		again.Protocols = again.Protocols[:1]
		sync := min(v, 5)
		a.ask(fmt.Sprintf("heartbeat before syncing, %d", v), heartbeatRequest(group, me, 1), min(v, 4))
		a.ask(fmt.Sprintf("syncing as another generation, %d", v), syncRequest(group, me, 2), sync)
		a.ask(fmt.Sprintf("syncing as nobody, %d", v), syncRequest(group, "nobody", 1), sync)
		a.ask(fmt.Sprintf("syncing as the leader, %d", v), assigning(syncRequest(group, me, 1), me, "nobody"), sync)
		a.ask(fmt.Sprintf("syncing again, %d", v), syncRequest(group, me, 1), sync)
		a.ask(fmt.Sprintf("heartbeat, %d", v), heartbeatRequest(group, me, 1), min(v, 4))
		a.ask(fmt.Sprintf("heartbeat of another generation, %d", v), heartbeatRequest(group, me, 2), min(v, 4))
		a.ask(fmt.Sprintf("heartbeat of nobody, %d", v), heartbeatRequest(group, "nobody", 1), min(v, 4))
		a.ask("the leader joins again", joinRequest(group, me), v)
		a.ask(fmt.Sprintf("syncing as the leader of the next generation, %d", v), assigning(syncRequest(group, me, 2), me), sync)
		a.ask("joining again with fewer protocols", again, v)
		leave := min(v, 5)
		a.ask(fmt.Sprintf("leaving, %d", v), leaveRequest(group, me, "nobody"), leave)
		a.ask(fmt.Sprintf("leaving again, %d", v), leaveRequest(group, me), leave)
		a.ask(fmt.Sprintf("heartbeat after leaving, %d", v), heartbeatRequest(group, me, 3), min(v, 4))
	}
}

func badMembers(a *asker) {
	group, joined := a.member("g")
	none := a.group("none")
	for _, ask := range []struct {
		question string
		change   func(*kmsg.JoinGroupRequest)
	}{
		{"an empty group ID", func(r *kmsg.JoinGroupRequest) { r.Group = "" }},
		{"a session too short", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 }},
		{"a negative session", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = -1 }},
		{"a session too long", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }},
		{"no protocols", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }},
		{"no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }},
		{"another protocol type", func(r *kmsg.JoinGroupRequest) { r.Group, r.ProtocolType = group, "connect" }},
		{"no common protocol", func(r *kmsg.JoinGroupRequest) {
			r.Group, r.Protocols = group, r.Protocols[:1]
			r.Protocols[0].Name = "x"
		}},
		{"an ID that was not given out", func(r *kmsg.JoinGroupRequest) { r.Group, r.MemberID = group, "invented" }},
		{"an ID in a group that does not exist", func(r *kmsg.JoinGroupRequest) { r.MemberID = "invented" }},
	} {
		a.each("joining with "+ask.question, 0, 9, func(int16) kmsg.Request {
			req := joinRequest(none, "")
			ask.change(req)
			return req
		})
	}
	for _, g := range []struct{ what, group string }{{"an empty group ID", ""}, {"a group that does not exist", none}} {
		a.each("syncing in "+g.what, 0, 5, func(int16) kmsg.Request { return syncRequest(g.group, "m", 1) })
		a.each("heartbeat in "+g.what, 0, 4, func(int16) kmsg.Request { return heartbeatRequest(g.group, "m", 1) })
		a.each("leaving "+g.what, 0, 5, func(int16) kmsg.Request { return leaveRequest(g.group, "m", "n") })
	}
	a.each("leaving as nobody", 3, 5, func(int16) kmsg.Request { return &kmsg.LeaveGroupRequest{Group: group} })
	sync := func(change func(*kmsg.SyncGroupRequest)) func(int16) kmsg.Request {
		return func(int16) kmsg.Request {
			req := syncRequest(group, joined.MemberID, joined.Generation)
			change(req)
			return req
		}
	}
	a.each("syncing without a protocol", 5, 5, sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = nil }))
	a.each("syncing without a type", 5, 5, sync(func(r *kmsg.SyncGroupRequest) { r.ProtocolType = nil }))
	a.each("syncing with another protocol", 5, 5, sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = kmsg.StringPtr("x") }))
	a.each("syncing with another type", 5, 5, sync(func(r *kmsg.SyncGroupRequest) { r.ProtocolType = kmsg.StringPtr("x") }))
}

func staticMembers(a *asker) {
	for v := int16(5); v <= 9; v++ {
		group := a.group(fmt.Sprint("g", v))
		join := func(question, member string) *kmsg.JoinGroupResponse {
			req := joinRequest(group, member)
			req.InstanceID = kmsg.StringPtr("one")
			return a.ask(question, req, v).(*kmsg.JoinGroupResponse)
		}
		first := join("a static member joins", "")
		sync := assigning(syncRequest(group, first.MemberID, first.Generation), first.MemberID)
		sync.InstanceID = kmsg.StringPtr("one")
		a.ask(fmt.Sprintf("it syncs, %d", v), sync, 5)
		second := join("it starts anew", "")
		a.question("its ID (v%d)", v)
		a.say("changes: %v", first.MemberID != second.MemberID)
		join("who it was before joins again", first.MemberID)
		beat := heartbeatRequest(group, first.MemberID, first.Generation)
		beat.InstanceID = kmsg.StringPtr("one")
		a.ask(fmt.Sprintf("heartbeat of who it was before, %d", v), beat, 4)
		a.ask(fmt.Sprintf("syncing as who it was before, %d", v), sync, 5)
		other := heartbeatRequest(group, second.MemberID, first.Generation)
		other.InstanceID = kmsg.StringPtr("two")
		a.ask(fmt.Sprintf("heartbeat as another instance, %d", v), other, 4)
		leave := leaveRequest(group, "")
		leave.Members[0].InstanceID = kmsg.StringPtr("two")
		a.ask(fmt.Sprintf("an instance that is not there leaves, %d", v), leave, min(v, 5))
		leave = leaveRequest(group, first.MemberID)
		leave.Members[0].InstanceID = kmsg.StringPtr("one")
		a.ask(fmt.Sprintf("who it was before leaves, %d", v), leave, min(v, 5))
		leave = leaveRequest(group, "")
		leave.Members[0].InstanceID = kmsg.StringPtr("one")
		a.ask(fmt.Sprintf("the instance leaves, %d", v), leave, min(v, 5))
	}
}

// rebalance: a second member joins, the first one hears of it, and both get their shares.
func rebalance(a *asker) {
	for _, v := range []int16{1, 3, 5} {
		group, first := a.member(fmt.Sprint("g", v))
		waiting := a.background(joinRequest(group, ""), min(v, 3))
		a.until("the group rebalances", func() bool {
			return a.quiet(heartbeatRequest(group, first.MemberID, 1), 3).(*kmsg.HeartbeatResponse).ErrorCode != 0
		})
		a.ask(fmt.Sprintf("heartbeat of the first member, %d", v), heartbeatRequest(group, first.MemberID, 1), min(v, 4))
		a.ask("syncing meanwhile", syncRequest(group, first.MemberID, 1), v)
		a.ask("the first member joins again", joinRequest(group, first.MemberID), v)
		second := waiting(fmt.Sprintf("the second member joins, %d", v)).(*kmsg.JoinGroupResponse)
		shared := a.background(syncRequest(group, second.MemberID, 2), v)
		a.ask("the leader syncs", assigning(syncRequest(group, first.MemberID, 2), first.MemberID, second.MemberID), v)
		shared(fmt.Sprintf("the second member syncs, %d", v))
		a.ask(fmt.Sprintf("the first leaves, %d", v), leaveRequest(group, first.MemberID), min(v, 4))
		a.ask(fmt.Sprintf("heartbeat of the second, %d", v), heartbeatRequest(group, second.MemberID, 2), min(v, 4))
		alone := a.ask("the second joins again", joinRequest(group, second.MemberID), v).(*kmsg.JoinGroupResponse)
		a.question("who leads then (v%d)", v)
		a.say("the second: %v", alone.LeaderID == second.MemberID)
	}
}

func describeGroups(a *asker) {
	group, _ := a.member("g")
	joining := a.group("joined")
	a.quiet(joinRequest(joining, ""), 3)
	left, m := a.member("left")
	a.quiet(leaveRequest(left, m.MemberID), 3)
	simple := a.group("simple")
	topic, _ := a.topic("t", 1)
	a.quiet(commitRequest(simple, topic, 0, 5), 8)
	ask := func(groups ...string) func(int16) kmsg.Request {
		return func(v int16) kmsg.Request {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Groups, req.IncludeAuthorizedOperations = groups, v == 4 || v == 6
			return req
		}
	}
	a.each("a group with a member", 0, 6, ask(group))
	a.each("a group that waits for its leader", 0, 6, ask(joining))
	a.each("a group whose members have left", 0, 6, ask(left))
	a.each("a group that has offsets only", 0, 6, ask(simple))
	a.each("a group that does not exist", 0, 6, ask(a.group("none")))
	a.each("an empty group ID", 0, 6, ask(""))
	a.each("several groups", 0, 6, ask(simple, a.group("none"), group))
	a.each("no groups", 0, 6, ask())
}

func listGroups(a *asker) {
	a.member("g")
	left, m := a.member("left")
	a.quiet(leaveRequest(left, m.MemberID), 3)
	simple := a.group("simple")
	topic, _ := a.topic("t", 1)
	a.quiet(commitRequest(simple, topic, 0, 5), 8)
	ours := func(question string, v int16, states, types []string) {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = states, types
		resp := a.quiet(req, v).(*kmsg.ListGroupsResponse)
		resp.Groups = a.own(resp.Groups)
		a.answered(question, resp)
	}
	for v := int16(0); v <= 5; v++ {
		ours("all groups", v, nil, nil)
	}
	for _, state := range []string{"Stable", "stable", "Empty", "Dead", "PreparingRebalance", "nonsense", ""} {
		for v := int16(4); v <= 5; v++ {
			ours(fmt.Sprintf("groups whose state is %q", state), v, []string{state}, nil)
		}
	}
	ours("groups of two states", 5, []string{"Stable", "Empty"}, nil)
	for _, kind := range []string{"classic", "Classic", "consumer", "share", "streams", "nonsense", ""} {
		ours(fmt.Sprintf("groups whose type is %q", kind), 5, nil, []string{kind})
	}
	ours("stable classic groups", 5, []string{"Stable"}, []string{"classic"})
}

func deleteGroups(a *asker) {
	full, _ := a.member("full")
	topic, _ := a.topic("t", 1)
	ask := func(groups ...string) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = groups
		return req
	}
	for v := int16(0); v <= 2; v++ {
		left, m := a.member(fmt.Sprint("left", v))
		a.quiet(leaveRequest(left, m.MemberID), 3)
		simple := a.group(fmt.Sprint("simple", v))
		a.quiet(commitRequest(simple, topic, 0, 5), 8)
		a.ask("a group with a member", ask(full), v)
		a.ask("groups without members, and one that does not exist", ask(left, simple, a.group("none")), v)
		a.ask("its offsets", fetchOffsets(simple, topic, 0), 7+v)
		a.ask("once more", ask(left), v)
		a.ask("an empty group ID", ask(""), v)
		a.ask("no groups", ask(), v)
	}
}
