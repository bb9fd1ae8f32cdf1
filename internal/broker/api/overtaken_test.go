package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

// late sends a request of a client that goes away before the broker comes to it, since that is busy with another one of its for a second.
func late(b *nodetest.Broker, version int16, req kmsg.Request) {
	c := b.Client()
	busy := fetchRequest(fetchPart{topic: "t", offset: 0})
	busy.MinBytes, busy.MaxWaitMillis = 1, 1000
	busy.SetVersion(12)
	c.Send(busy)
	req.SetVersion(version)
	c.Send(req)
	synctest.Wait()
	_ = c.Close()
}

// TestOvertaken: what a client has asked to become before it gave the connection up is not decided after what it asks on the next one: it would fence itself.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := nodetest.Start(t, nodetest.Options{})
		x := transactingAt(t, b)
		late(b, 5, x.initRequest())
		x.init(5)

		join := kmsg.NewPtrJoinGroupRequest()
		instance := "i"
		join.Group, join.InstanceID, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", &instance, 60_000, 60_000, "consumer"
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		late(b, 9, join)
		member := do[*kmsg.JoinGroupResponse](x.c, 9, join)
		wantCode(t, "a static member", member.ErrorCode, nil)

		time.Sleep(2 * time.Second)
		x.adds("the producer goes on", 3, x.add(0), nil)
		alive := kmsg.NewPtrHeartbeatRequest()
		alive.Group, alive.MemberID, alive.InstanceID, alive.Generation = "g", member.MemberID, &instance, member.Generation
		if code := do[*kmsg.HeartbeatResponse](x.c, 4, alive).ErrorCode; code != 0 && code != kerr.RebalanceInProgress.Code {
			t.Errorf("the static member is told %v", kerr.ErrorForCode(code))
		}
	})
}
