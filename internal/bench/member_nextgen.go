package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/wait"
)

// nextGenMember speaks ConsumerGroupHeartbeat (KIP-848). What it is given or has to give up it confirms at once; otherwise it heartbeats at its interval.
type nextGenMember struct {
	membership
	id    string
	epoch int32
	owned []int32
}

func newMemberID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func (m *nextGenMember) run(ctx context.Context) error {
	req := m.request()
	req.SubscribedTopicNames, req.RebalanceTimeoutMillis = []string{m.topic.Name}, int32(memberRebalance.Milliseconds())
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for {
		changed, err := m.beat(ctx, req)
		if err != nil {
			return err
		}
		req = m.request()
		if changed {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			t.TopicID, t.Partitions = m.topic.ID, m.owned
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{t}
			continue
		}
		if err := wait.For(ctx, m.heartbeat); err != nil {
			return err
		}
	}
}

func (m *nextGenMember) request() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.group, m.id, m.epoch, -1
	return req
}

// beat sends a heartbeat and tells whether the answer changes what the member has.
func (m *nextGenMember) beat(ctx context.Context, req *kmsg.ConsumerGroupHeartbeatRequest) (changed bool, err error) {
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return false, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return false, fmt.Errorf("heartbeat in epoch %d: %w: %w", m.epoch, errUnexpected, err)
	}
	if resp.Assignment != nil {
		changed = true
		m.owned = nil
		for _, t := range resp.Assignment.Topics {
			if t.TopicID == m.topic.ID {
				m.owned = append(m.owned, t.Partitions...)
			}
		}
	}
	if changed || resp.MemberEpoch != m.epoch {
		m.epoch = resp.MemberEpoch
		m.board.post(m.number, m.epoch, m.owned)
	}
	return changed, nil
}

func (m *nextGenMember) leave(ctx context.Context) error {
	req := m.request()
	req.MemberEpoch = -1
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
