package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"chronik/internal/config"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/wait"
)

// openShares makes what keeps the state of share partitions, and what asks whoever keeps it. It is before the first image.
func (n *Node) openShares() {
	n.shares = runtime.New(runtime.Options[*share.Machine]{
		Topic: schema.Shares, Node: n.settings.NodeID, Partition: n.coordinated, WallClockTrusted: n.replicas.WallClockTrusted, Log: n.env.Log,
		Machine:   func() *share.Machine { return share.New(shareConfig(n.follower.broker())) },
		Configure: func(m *share.Machine) { m.Config = shareConfig(n.follower.broker()) },
		Limits: func() runtime.Limits {
			s := &n.follower.broker().Shares
			return runtime.Limits{Patience: time.Duration(s.WriteTimeoutMs) * time.Millisecond, LoadBytes: int(s.LoadBytes)}
		},
	})
	n.shareStates = sharestate.New(sharestate.Options{
		Node: n.settings.NodeID, Coordinator: n.shareCoordinator, Create: n.createShares, Here: n.shares, Send: n.sendShares, Log: n.env.Log,
	})
}

// shareConfig is what the broker's keys mean for share partitions' state.
func shareConfig(b *config.Broker) share.Config {
	return share.Config{UpdatesPerSnapshot: int(b.Shares.UpdatesPerSnapshot), UpkeepEvery: time.Duration(b.Shares.UpkeepMs) * time.Millisecond}
}

// shareCoordinator is who coordinates a share partition.
func (n *Node) shareCoordinator(k share.Key) (partition int32, leader model.BrokerID, exists bool) {
	t := n.quorum.Images().Load().Topic(schema.Shares.Name)
	if t == nil {
		return 0, model.NoBroker, false
	}
	partition = schema.Partition(k.Coordinated(), int32(len(t.Partitions)))
	return partition, t.Partitions[partition].Leader, true
}

func (n *Node) createShares(ctx context.Context) error {
	if err := n.awaitBroker(ctx); err != nil {
		return err
	}
	return n.broker.CreateShareStates(ctx)
}

// sendShares has another broker's coordinators decide.
func (n *Node) sendShares(ctx context.Context, to model.BrokerID, all []sharestate.Request) ([]sharestate.Answer, error) {
	if err := n.awaitBroker(ctx); err != nil {
		return nil, err
	}
	answers, err := n.broker.SendShareStates(ctx, to, all)
	if err != nil && !untouched(err) {
		err = errors.Join(sharestate.ErrUnknown, err)
	}
	return answers, err
}

// untouched tells whether a call that failed has changed nothing, and will not.
func untouched(err error) bool {
	return errors.Is(err, peer.ErrUnavailable) || errors.Is(err, peer.ErrBusy) || errors.Is(err, peer.ErrUnsupported)
}

// groupEffect does what a coordinator of groups wants done elsewhere. It is called within the coordinator's turn.
func (n *Node) groupEffect(from runtime.Source[*group.Machine], e shard.Effect) {
	call := e.(*group.ShareCall)
	n.asking.Go(func() { n.callShares(from, call) })
}

// callShares has partitions begun for a share group, or forgotten, and tells the group's coordinator what has become of that.
func (n *Node) callShares(from runtime.Source[*group.Machine], call *group.ShareCall) {
	errs := make([]error, len(call.Partitions))
	var left atomic.Int64
	left.Store(int64(len(errs)) + 1)
	done := func() {
		if left.Add(-1) == 0 {
			from.Ask(func(m *group.Machine, now time.Time) shard.Result { return m.ShareAnswered(now, call, errs) }, func(error) {})
		}
	}
	for i, p := range call.Partitions {
		answer := func(err error) {
			errs[i] = err
			done()
		}
		k := share.Key{Group: call.Group, TopicID: p.Topic, Partition: p.Partition}
		if call.Delete {
			n.shareStates.Forget(k, answer)
		} else {
			n.shareStates.Begin(share.InitializeRequest{Key: k, StateEpoch: call.StateEpoch, Start: p.Start}, answer)
		}
	}
	done()
}

// pruneShares shortens the log of share partitions' state until ctx ends: what is before the oldest snapshot that counts is never read again.
func (n *Node) pruneShares(ctx context.Context) {
	every := func() time.Duration { return time.Duration(n.follower.broker().Shares.PruneMs) * time.Millisecond }
	for wait.For(ctx, every()) == nil {
		im := n.quorum.Images().Load()
		t := im.Topic(schema.Shares.Name)
		if t == nil {
			continue
		}
		for i := range t.Partitions {
			n.prunePartition(ctx, t, int32(i))
		}
	}
}

// prunePartition is pruneShares for one partition that this node coordinates; for others it does nothing.
func (n *Node) prunePartition(ctx context.Context, t *image.Topic, partition int32) {
	needed := make(chan model.Offset, 1)
	n.shares.At(partition, func(m *share.Machine, _ time.Time) shard.Result {
		needed <- m.Needed()
		return shard.Result{Sees: model.NoOffset}
	}, func(error) { needed <- model.NoOffset })
	var to model.Offset
	select {
	case to = <-needed:
	case <-ctx.Done():
		return
	}
	r := n.replicas.Get(model.TopicPartition{Topic: t.Name, Partition: partition})
	if to <= 0 || r == nil || r.TopicID() != t.ID {
		return
	}
	if _, err := r.DeleteBefore(to); err != nil {
		n.env.Log.Info("the log of share partitions' state was not shortened; it is tried again", "partition", partition, "error", err)
	}
}
