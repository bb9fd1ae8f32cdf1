package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// evict takes the members of a process that was killed out of a streams group, as they would have done themselves: else those that come after them would wait until
// their sessions have ended, 45 seconds each time.
func (a *application) evict(ctx context.Context) error {
	coordinators := kadm.NewClient(a.client).FindGroupCoordinators(ctx, a.name)
	if err := coordinators.Error(); err != nil {
		return err
	}
	coordinator := a.client.Broker(int(coordinators[a.name].NodeID))
	describe := kmsg.NewPtrStreamsGroupDescribeRequest()
	describe.Groups = []string{a.name}
	described, err := describe.RequestWith(ctx, coordinator)
	if err != nil {
		return err
	}
	g := &described.Groups[0]
	if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
		return fmt.Errorf("describing the streams group: %w", err)
	}
	for _, m := range g.Members {
		leave := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		leave.Group, leave.MemberID, leave.MemberEpoch = a.name, m.MemberID, -1
		left, err := leave.RequestWith(ctx, coordinator)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(left.ErrorCode); err != nil {
			return fmt.Errorf("member %s is to leave the streams group: %w", m.MemberID, err)
		}
	}
	return nil
}
