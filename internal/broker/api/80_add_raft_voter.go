package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// AddRaftVoter (80), versions 0 and 1: a vote in the metadata quorum for a node that follows it (KIP-853). It is answered when the node
// has caught up and votes, also where version 1 would be content with less.
func (c *control) addRaftVoter(ctx context.Context, req *kmsg.AddRaftVoterRequest) *kmsg.AddRaftVoterResponse {
	err := c.checkVoter(req.ClusterID, req.VoterID, req.VoterDirectoryID)
	if err == nil && len(req.Listeners) == 0 {
		err = fmt.Errorf("%w: a voter has to listen somewhere", errInvalidRequest)
	}
	if err == nil {
		err = c.admit(ctx, voter(req.VoterID, req.VoterDirectoryID), time.Duration(req.TimeoutMillis)*time.Millisecond)
	}
	resp := kmsg.NewPtrAddRaftVoterResponse()
	resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
	return resp
}

func voter(id int32, directory [16]byte) quorum.Replica {
	return quorum.Replica{Node: model.BrokerID(id), Directory: image.UUID(directory)}
}

// checkVoter refuses a request for another cluster, or about nobody.
func (c *control) checkVoter(cluster *string, id int32, directory [16]byte) error {
	if own := c.image().ClusterID(); cluster != nil && *cluster != own {
		return fmt.Errorf("%w: the request is for %q, this is %q", errOtherCluster, *cluster, own)
	}
	if id < 0 || directory == [16]byte{} {
		return fmt.Errorf("%w: it names no voter by its ID and its directory", errInvalidRequest)
	}
	return nil
}

func (c *control) admit(ctx context.Context, who quorum.Replica, limit time.Duration) error {
	if c.Cluster == nil {
		return errQuorumOfOne
	}
	s, err := c.quorumStatus(ctx)
	if err != nil {
		return err
	}
	of := func(r quorum.ReplicaStatus) bool { return r.Node == who.Node }
	if slices.ContainsFunc(s.Voters, of) {
		return fmt.Errorf("%w: node %d", errIsVoter, who.Node)
	}
	if !slices.ContainsFunc(s.Observers, func(r quorum.ReplicaStatus) bool { return r.Replica == who }) {
		return fmt.Errorf("%w: %s does not follow the quorum: start it with --peers first", errInvalidRequest, who)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = c.Cluster.Quorum.Admit(ctx, who)
	c.note(err)
	return err
}
