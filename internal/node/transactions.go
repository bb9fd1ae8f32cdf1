package node

import (
	"context"
	"errors"
	"time"

	"chronik/internal/config"
	"chronik/internal/coordinator/markers"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

const (
	transactionPatience = 5 * time.Second  // until who waits for a decision that is not safe yet is told to ask again
	producerIDTime      = 10 * time.Second // for a producer ID
)

// txnConfig is what the broker's keys mean for transactions.
func txnConfig(b *config.Broker) txn.Config {
	t := &b.Transactions
	return txn.Config{
		MaxTimeoutMs: t.MaxTimeoutMs, Expiration: time.Duration(t.ExpirationMs) * time.Millisecond,
		SweepEvery: time.Duration(t.ExpiryCheckMs) * time.Millisecond, Version: txn.V2,
	}
}

// errNotOpen refuses markers.
var errNotOpen = errors.New("the node is still starting")

// transactionEffect does what a coordinator of transactions wants done elsewhere. It is called within the coordinator's turn.
func (n *Node) transactionEffect(from runtime.Source[*txn.Machine], e shard.Effect) {
	switch e := e.(type) {
	case *txn.Markers:
		n.markers.Send(markersSource{from}, e)
	case txn.NeedProducerID:
		n.asking.Go(func() { n.giveProducerID(from, e) })
	}
}

// giveProducerID gets an ID for a decision that waits for one.
func (n *Node) giveProducerID(from runtime.Source[*txn.Machine], need txn.NeedProducerID) {
	ctx, cancel := context.WithTimeout(n.background, producerIDTime)
	defer cancel()
	var id model.ProducerID
	err := n.awaitBroker(ctx)
	if err == nil {
		id, err = n.broker.NewProducerID(ctx)
	}
	if err != nil {
		need.Refuse(err)
		return
	}
	from.Ask(func(_ *txn.Machine, now time.Time) shard.Result { return need.Resume(now, id) }, need.Refuse)
}

// awaitBroker waits until the node is so far that it can answer brokers: coordinators load before.
func (n *Node) awaitBroker(ctx context.Context) error {
	select {
	case <-n.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leaderOf is who leads a partition.
func (n *Node) leaderOf(tp model.TopicPartition) (leader model.BrokerID, exists bool) {
	p := n.quorum.Images().Load().Partition(tp)
	if p == nil {
		return model.NoBroker, false
	}
	return p.Leader, true
}

// newMarkers is who has the markers of transactions written.
func (n *Node) newMarkers() *markers.Sender {
	return markers.New(markers.Options{Leader: n.leaderOf, Node: n.settings.NodeID, Append: n.appendMarker, Write: n.writeMarkers, Log: n.env.Log})
}

// appendMarker has one of this broker's partitions take a marker. A coordinator that has loaded before the node is so far asks again.
func (n *Node) appendMarker(tp model.TopicPartition, e markers.Entry, done func(error)) {
	select {
	case <-n.opened:
		n.broker.AppendMarker(tp, e, done)
	default:
		done(errNotOpen)
	}
}

// writeMarkers has another broker write markers.
func (n *Node) writeMarkers(ctx context.Context, to model.BrokerID, entries []markers.Entry) ([][]error, error) {
	if err := n.awaitBroker(ctx); err != nil {
		return nil, err
	}
	return n.broker.SendMarkers(ctx, to, entries)
}

// markersSource is a coordinator that has markers written.
type markersSource struct {
	runtime.Source[*txn.Machine]
}

// Written implements markers.Source. If the coordinator has ended, its successor has all markers of what is not complete written again.
func (s markersSource) Written(of *txn.Markers, partitions []model.TopicPartition) {
	s.Ask(func(m *txn.Machine, now time.Time) shard.Result { return m.Written(now, of, partitions) }, func(error) {})
}
