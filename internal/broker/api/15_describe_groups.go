package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
)

// groupOperations is what a client may do to a group where nobody is restricted: read, delete, describe, describe and alter configs.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// describeNotFound is the version of DescribeGroups from which on a group that does not exist is an error, and errors have messages.
const describeNotFound = 6

// DescribeGroups (15), versions 0 to 6: classic groups, each once. Version 3 tells what the client may do, 4 of static members (KIP-345), 6
// that a group does not exist (KIP-1043); before, it is Dead.
func (b *Broker) describeGroups(ctx context.Context, _ *server.Request, req *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, got := range describeEach(ctx, b, req.Groups, nil, (*group.Machine).Describe) {
		out := describedGroup(&got.group, got.err, req)
		out.Group = got.id
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

func describedGroup(d *group.Description, err error, req *kmsg.DescribeGroupsRequest) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	if err == nil {
		err = d.Err
		out.State = d.State.String()
	}
	if errors.Is(err, group.ErrGroupNotFound) && req.Version < describeNotFound {
		err = nil
	}
	if err != nil {
		out.ErrorCode = groupCode(err)
		if req.Version >= describeNotFound && errors.Is(err, group.ErrGroupNotFound) {
			out.ErrorMessage = message(fmt.Errorf("Group %s not found.", d.Group))
		}
		return out
	}
	out.ProtocolType, out.Protocol = d.ProtocolType, d.Protocol
	if req.IncludeAuthorizedOperations {
		out.AuthorizedOperations = groupOperations
	}
	out.Members = make([]kmsg.DescribeGroupsResponseGroupMember, len(d.Members))
	for i, m := range d.Members {
		out.Members[i] = kmsg.DescribeGroupsResponseGroupMember{
			MemberID: m.Member, InstanceID: m.Instance, ClientID: m.ClientID, ClientHost: m.ClientHost,
			ProtocolMetadata: m.Metadata, MemberAssignment: m.Assignment,
		}
	}
	return out
}
