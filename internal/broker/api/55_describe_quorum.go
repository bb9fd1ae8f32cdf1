package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// quorumTopic is how Kafka calls the metadata log, whose only partition is 0.
const quorumTopic = "__cluster_metadata"

// DescribeQuorum (55), versions 0 to 2: the voters of the metadata log, the observers, and how far each is (KIP-595). Version 1 adds when
// they were heard of (KIP-836), 2 directories and endpoints (KIP-853). Offsets are those after the last entry.
func (c *control) describeQuorum(ctx context.Context, req *kmsg.DescribeQuorumRequest) *kmsg.DescribeQuorumResponse {
	resp := kmsg.NewPtrDescribeQuorumResponse()
	known := len(req.Topics) == 1 && req.Topics[0].Topic == quorumTopic && len(req.Topics[0].Partitions) == 1 && req.Topics[0].Partitions[0].Partition == 0
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = asked.Partition
			if !known {
				p.ErrorCode, p.ErrorMessage = Code(errUnknownTopic), message(errUnknownTopic)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if !known {
		return resp
	}
	s, err := c.quorumStatus(ctx)
	if err != nil {
		resp.Topics, resp.ErrorCode, resp.ErrorMessage = nil, Code(err), message(err)
		return resp
	}
	p := &resp.Topics[0].Partitions[0]
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = int32(s.Leader), int32(s.Term), int64(s.HighWatermark)
	p.CurrentVoters, p.Observers = replicaStates(s.Voters), replicaStates(s.Observers)
	for _, n := range c.image().Nodes() {
		resp.Nodes = append(resp.Nodes, quorumNode(n))
	}
	return resp
}

// quorumStatus describes the quorum as only its leader can.
func (c *control) quorumStatus(ctx context.Context) (quorum.Status, error) {
	switch {
	case c.refusal != nil:
		return quorum.Status{}, c.refusal
	case c.Cluster == nil:
		return c.quorumOfOne(), nil
	}
	s, err := c.Cluster.Quorum.Status(ctx)
	if err == nil && s.Leader != c.NodeID {
		err = &quorum.NotControllerError{Leader: s.Leader, Term: s.Term}
	}
	c.note(err)
	return s, err
}

// quorumOfOne is that of a broker alone, to which all that is applied is committed.
func (b *Broker) quorumOfOne() quorum.Status {
	im, now := b.image(), time.Now()
	self := quorum.ReplicaStatus{Replica: quorum.Replica{Node: b.NodeID}, LogEnd: im.Index(), LastFetch: now, LastCaughtUp: now, IsLeader: true, CaughtUpEnough: true}
	if n := im.Node(b.NodeID); n != nil {
		self.Directory = n.Directory
	}
	return quorum.Status{Leader: b.NodeID, Term: im.Term(), HighWatermark: im.Index(), Voters: []quorum.ReplicaStatus{self}}
}

func replicaStates(list []quorum.ReplicaStatus) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	out := make([]kmsg.DescribeQuorumResponseTopicPartitionReplicaState, 0, len(list))
	for _, r := range list {
		s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		s.ReplicaID, s.ReplicaDirectoryID, s.LogEndOffset = int32(r.Node), r.Directory, int64(r.LogEnd)
		s.LastFetchTimestamp, s.LastCaughtUpTimestamp = milliseconds(r.LastFetch), milliseconds(r.LastCaughtUp)
		if r.LogEnd == 0 {
			s.LogEndOffset = int64(model.NoOffset)
		}
		out = append(out, s)
	}
	return out
}

// milliseconds is a time as the wire has it, -1 if it is not known.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

func quorumNode(n *image.Node) kmsg.DescribeQuorumResponseNode {
	out := kmsg.NewDescribeQuorumResponseNode()
	out.NodeID = int32(n.ID)
	for _, e := range n.Endpoints {
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = e.Listener, e.Host, e.Port
		out.Listeners = append(out.Listeners, l)
	}
	return out
}
