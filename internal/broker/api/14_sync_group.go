package api

import (
	"bytes"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// syncNamesProtocol is the version of SyncGroup from which on it has to say what it is about.
const syncNamesProtocol = 5

// SyncGroup (14), versions 0 to 5: a member waits for its assignment, the leader brings everybody's. Version 3 has static members
// (KIP-345), 5 the protocol's type and name (KIP-559).
func (b *Broker) syncGroup(ctx context.Context, r *server.Request, req *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	if req.Version >= syncNamesProtocol && (req.ProtocolType == nil || req.Protocol == nil) {
		resp.ErrorCode = Code(group.ErrInconsistentProtocol)
		return resp
	}
	in := group.SyncRequest{
		Group: req.Group, Generation: req.Generation, Member: req.MemberID, Instance: req.InstanceID,
		ProtocolType: req.ProtocolType, Protocol: req.Protocol, Assignments: make([]group.Assignment, len(req.GroupAssignment)),
	}
	for i, a := range req.GroupAssignment {
		in.Assignments[i] = group.Assignment{Member: a.MemberID, Bytes: bytes.Clone(a.MemberAssignment)}
	}
	r.Forget() // the leader may have to bring the assignments first
	out, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.SyncReply)) shard.Result {
		return m.Sync(now, in, reply)
	})
	resp.ErrorCode = groupCode(firstOf(err, out.Err))
	resp.ProtocolType, resp.Protocol, resp.MemberAssignment = out.ProtocolType, out.Protocol, out.Assignment
	return resp
}
