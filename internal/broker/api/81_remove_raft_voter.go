package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/quorum"
)

// RemoveRaftVoter (81), version 0: takes a node out of the metadata quorum (KIP-853). If it is the active controller, another voter
// takes over first and answers. A node that follows without a vote is taken out in the same way: nothing else would ever forget it.
func (c *control) removeRaftVoter(ctx context.Context, req *kmsg.RemoveRaftVoterRequest) *kmsg.RemoveRaftVoterResponse {
	err := c.checkVoter(req.ClusterID, req.VoterID, req.VoterDirectoryID)
	if err == nil {
		err = c.dismiss(ctx, voter(req.VoterID, req.VoterDirectoryID))
	}
	resp := kmsg.NewPtrRemoveRaftVoterResponse()
	resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
	return resp
}

func (c *control) dismiss(ctx context.Context, who quorum.Replica) error {
	if c.Cluster == nil {
		return errQuorumOfOne
	}
	s, err := c.quorumStatus(ctx)
	if err != nil {
		return err
	}
	named, heir := false, model.NoBroker
	for _, v := range s.Voters {
		if v.Replica == who {
			named = true
		} else if v.CaughtUpEnough && heir == model.NoBroker {
			heir = v.Node
		}
	}
	follows := slices.ContainsFunc(s.Observers, func(o quorum.ReplicaStatus) bool { return o.Replica == who })
	switch {
	case follows:
		err = c.Cluster.Quorum.Remove(ctx, who)
	case !named:
		return fmt.Errorf("%w: %s", errNoVoter, who)
	case heir == model.NoBroker:
		return fmt.Errorf("%w: no other voter has all of the metadata, so %s is needed", errInvalidRequest, who)
	case who.Node == c.NodeID:
		if err = c.Cluster.Quorum.TransferTo(ctx, heir); err == nil {
			err = &quorum.NotControllerError{Leader: heir, Term: s.Term + 1}
		}
	default:
		err = c.Cluster.Quorum.Remove(ctx, who)
	}
	c.note(err)
	return err
}
