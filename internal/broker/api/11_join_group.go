package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// Versions of JoinGroup that ask for more.
const (
	joinRebalanceTimeout = 1 // before, the session's counts
	joinNeedsID          = 4 // KIP-394
	joinNullProtocol     = 7
	joinSkipAssignment   = 9 // KIP-814
)

// JoinGroup (11), versions 0 to 9: a member waits for the next generation of its group. Version 1 has a rebalance timeout, 4 sends members
// away to come back with an ID (KIP-394), 5 has static members (KIP-345), 7 the protocol's type in the answer, 8 a reason, 9 tells leaders
// to skip the assignment (KIP-814).
func (b *Broker) joinGroup(ctx context.Context, r *server.Request, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	in := group.JoinRequest{
		Group: req.Group, Member: req.MemberID, Instance: req.InstanceID, ClientID: r.ClientID, ClientHost: clientHost(r.Conn),
		SessionMs: req.SessionTimeoutMillis, RebalanceMs: req.RebalanceTimeoutMillis, ProtocolType: req.ProtocolType,
		Protocols: make([]group.Protocol, len(req.Protocols)),
		NeedsID:   req.Version >= joinNeedsID, CanSkip: req.Version >= joinSkipAssignment, UUID: newUUID(),
	}
	if req.Version < joinRebalanceTimeout {
		in.RebalanceMs = in.SessionMs
	}
	for i, p := range req.Protocols {
		in.Protocols[i] = group.Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)}
	}
	r.Forget() // others may have to join first
	out, err := group.JoinReply{}, errOvertaken
	if !r.Abandoned() {
		out, err = askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.JoinReply)) shard.Result {
			return m.Join(now, in, reply)
		})
	}
	if err != nil {
		out = group.JoinReply{Err: err, Generation: -1, Member: req.MemberID}
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation, resp.LeaderID, resp.MemberID = groupCode(out.Err), out.Generation, out.Leader, out.Member
	resp.ProtocolType, resp.Protocol, resp.SkipAssignment = out.ProtocolType, out.Protocol, out.SkipAssignment
	if resp.Protocol == nil && req.Version < joinNullProtocol {
		resp.Protocol = new(string) // the field cannot be null before
	}
	resp.Members = make([]kmsg.JoinGroupResponseMember, len(out.Members))
	for i, m := range out.Members {
		resp.Members[i] = kmsg.JoinGroupResponseMember{MemberID: m.Member, InstanceID: m.Instance, ProtocolMetadata: m.Metadata}
	}
	return resp
}

// newUUID is a random UUID as text.
func newUUID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never returns an error
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
