package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// leaveMany is the version of LeaveGroup from which on it has several members.
const leaveMany = 3

// LeaveGroup (13), versions 0 to 5: members leave. Version 3 has several of them, by instance, too (KIP-345), 5 reasons (KIP-800).
func (b *Broker) leaveGroup(ctx context.Context, _ *server.Request, req *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	in := group.LeaveRequest{Group: req.Group}
	if req.Version < leaveMany {
		in.Members = []group.LeavingMember{{Member: req.MemberID}}
	}
	for _, m := range req.Members {
		in.Members = append(in.Members, group.LeavingMember{Member: m.MemberID, Instance: m.InstanceID})
	}
	out, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.LeaveReply)) shard.Result {
		return m.Leave(now, in, reply)
	})
	resp := kmsg.NewPtrLeaveGroupResponse()
	if err = firstOf(err, out.Err); err != nil {
		resp.ErrorCode = groupCode(err)
		return resp
	}
	if req.Version < leaveMany {
		resp.ErrorCode = groupCode(out.Left[0].Err)
		return resp
	}
	for _, l := range out.Left {
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{MemberID: l.Member, InstanceID: l.Instance, ErrorCode: groupCode(l.Err)})
	}
	return resp
}
