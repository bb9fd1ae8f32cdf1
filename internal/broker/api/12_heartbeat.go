package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// Heartbeat (12), versions 0 to 4: a member lives, and hears of rebalances. Version 3 has static members (KIP-345).
func (b *Broker) heartbeat(ctx context.Context, _ *server.Request, req *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	in := group.HeartbeatRequest{Group: req.Group, Generation: req.Generation, Member: req.MemberID, Instance: req.InstanceID}
	resp := kmsg.NewPtrHeartbeatResponse()
	out, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(error)) shard.Result {
		return m.Heartbeat(now, in, reply)
	})
	if errors.Is(err, shard.ErrLoading) {
		return resp // all is well as far as anybody knows: every member has a whole session when the load is done
	}
	resp.ErrorCode = groupCode(firstOf(err, out))
	return resp
}
