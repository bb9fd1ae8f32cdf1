package node

import (
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// coordinator is what follows the metadata as the partitions of its topic do, after them.
type coordinator interface {
	Start(*image.Image)
	Follow(*image.Image, *image.Delta)
	Stop()
}

// openCoordinators makes what coordinates by the partitions that this node leads. It is before the first image.
func (n *Node) openCoordinators() {
	n.groups = runtime.New(runtime.Options[*group.Machine]{
		Topic: schema.Groups, Node: n.settings.NodeID, Partition: n.coordinated, WallClockTrusted: n.replicas.WallClockTrusted, Log: n.env.Log,
		Machine:   func() *group.Machine { return group.New(groupConfig(n.follower.broker())) },
		Configure: func(m *group.Machine) { m.Config = groupConfig(n.follower.broker()) },
		Effect:    n.groupEffect,
		Limits: func() runtime.Limits {
			g := &n.follower.broker().Groups
			return runtime.Limits{Patience: time.Duration(g.CommitTimeoutMs) * time.Millisecond, LoadBytes: int(g.LoadBytes)}
		},
	})
	n.txns = runtime.New(runtime.Options[*txn.Machine]{
		Topic: schema.Transactions, Node: n.settings.NodeID, Partition: n.coordinated, WallClockTrusted: n.replicas.WallClockTrusted, Log: n.env.Log,
		Machine:   func() *txn.Machine { return txn.New(txnConfig(n.follower.broker())) },
		Configure: func(m *txn.Machine) { m.Config = txnConfig(n.follower.broker()) },
		Effect:    n.transactionEffect,
		Limits: func() runtime.Limits {
			return runtime.Limits{Patience: transactionPatience, LoadBytes: int(n.follower.broker().Transactions.LoadBytes)}
		},
	})
	n.markers = n.newMarkers()
	n.openShares()
	n.openSharing()
	n.follower.coordinators = []coordinator{n.groups, n.txns, n.shares, n.sharing}
}

// stopCoordinators answers everybody who waits for a coordinator.
func (n *Node) stopCoordinators() {
	n.sharing.Stop()
	n.shareStates.Stop()
	n.groups.Stop()
	n.txns.Stop()
	n.shares.Stop()
	n.markers.Stop()
	n.asking.Wait()
}

// coordinated finds a partition of a coordinator's topic.
func (n *Node) coordinated(tp model.TopicPartition) runtime.Partition {
	if r := n.replicas.Get(tp); r != nil {
		return r
	}
	return nil
}
