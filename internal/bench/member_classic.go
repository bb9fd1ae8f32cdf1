package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/wait"
)

// classicMember speaks JoinGroup, SyncGroup and Heartbeat; the group's leader among them assigns.
type classicMember struct {
	membership
	balancer   kgo.GroupBalancer
	id         string
	generation int32
	owned      []int32
}

func (m *classicMember) run(ctx context.Context) error {
	for again := true; ; {
		var err error
		if again {
			again, err = m.rebalance(ctx)
		} else if err = wait.For(ctx, m.heartbeat); err == nil {
			again, err = m.beat(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// beat tells whether there is a rebalance.
func (m *classicMember) beat(ctx context.Context) (again bool, err error) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return false, err
	}
	return unsettled(resp.ErrorCode, "heartbeat")
}

// unsettled tells a rebalance from other errors.
func unsettled(code int16, what string) (again bool, err error) {
	err = kerr.ErrorForCode(code)
	if errors.Is(err, kerr.RebalanceInProgress) {
		return true, nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", what, errUnexpected, err)
	}
	return false, err
}

// rebalance joins and syncs, and tells whether that has to be done again.
func (m *classicMember) rebalance(ctx context.Context) (again bool, err error) {
	if !m.balancer.IsCooperative() {
		m.owned = nil
		m.board.post(m.number, -1, nil)
	}
	joined, err := m.join(ctx)
	if err != nil || joined == nil {
		return joined == nil, err
	}
	m.generation = joined.Generation
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr(m.balancer.ProtocolName())
	if joined.LeaderID == m.id {
		if req.GroupAssignment, err = m.assign(joined.Members); err != nil {
			return false, err
		}
	}
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return false, err
	}
	if again, err := unsettled(resp.ErrorCode, "SyncGroup"); again || err != nil {
		return again, err
	}
	given, err := m.balancer.ParseSyncAssignment(resp.MemberAssignment)
	if err != nil {
		return false, err
	}
	before := m.owned
	m.owned = given[m.topic.Name]
	m.board.post(m.number, m.generation, m.owned)
	// A cooperative member that has given something up joins again, so that another one may get it.
	return m.balancer.IsCooperative() && slices.ContainsFunc(before, func(p int32) bool { return !slices.Contains(m.owned, p) }), nil
}

// assign is the leader's part.
func (m *classicMember) assign(all []kmsg.JoinGroupResponseMember) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	b, _, err := m.balancer.MemberBalancer(all)
	if err != nil {
		return nil, err
	}
	topics := map[string]int32{m.topic.Name: int32(m.topic.Partitions)}
	if or, ok := b.(kgo.GroupMemberBalancerOrError); ok {
		plan, err := or.BalanceOrError(topics)
		if err != nil {
			return nil, err
		}
		return plan.IntoSyncAssignment(), nil
	}
	return b.Balance(topics).IntoSyncAssignment(), nil
}

// join returns nil if it has to be done again.
func (m *classicMember) join(ctx context.Context) (*kmsg.JoinGroupResponse, error) {
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = m.balancer.ProtocolName()
	p.Metadata = m.balancer.JoinGroupMetadata([]string{m.topic.Name}, map[string][]int32{m.topic.Name: m.owned}, m.generation)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(memberSession.Milliseconds()), int32(memberRebalance.Milliseconds())
	req.Protocols = []kmsg.JoinGroupRequestProtocol{p}
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return nil, err
	}
	if errors.Is(kerr.ErrorForCode(resp.ErrorCode), kerr.MemberIDRequired) {
		m.id = resp.MemberID
		return nil, nil
	}
	if again, err := unsettled(resp.ErrorCode, "JoinGroup"); again || err != nil {
		return nil, err
	}
	m.id = resp.MemberID
	return resp, nil
}

func (m *classicMember) leave(ctx context.Context) error {
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID, req.Members = m.group, m.id, []kmsg.LeaveGroupRequestMember{one}
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
