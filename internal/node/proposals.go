package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/replica"
	"chronik/internal/replication"
)

// answerTime is how long the active controller is waited for. Whoever proposed asks again.
const answerTime = 5 * time.Second

// decider is the active controller, wherever it is.
type decider interface {
	AlterPartitions(context.Context, model.BrokerEpoch, []controller.ISRChange) ([]controller.AlteredPartition, error)
	Resign(context.Context, model.BrokerEpoch, []controller.Resignation) ([]error, error)
}

var _ decider = (*peer.Client)(nil)
var _ replica.Controller = (*proposals)(nil)

// proposals takes what this broker's leaders want to the active controller. What comes up while a call is on its way shares the next one.
type proposals struct {
	to    decider
	epoch func() model.BrokerEpoch
	log   *slog.Logger
	wake  chan struct{} // of capacity 1

	mu      sync.Mutex
	changes []proposed
	resigns map[resigned]controller.Resignation
}

// proposed is one ISR change and who waits for what comes of it.
type proposed struct {
	change controller.ISRChange
	answer func(replication.Outcome, replication.State)
}

type resigned struct {
	topic     model.TopicID
	partition int32
}

func newProposals(to decider, epoch func() model.BrokerEpoch, log *slog.Logger) *proposals {
	return &proposals{to: to, epoch: epoch, log: log, wake: make(chan struct{}, 1), resigns: make(map[resigned]controller.Resignation)}
}

// AlterISR implements replica.Controller.
func (p *proposals) AlterISR(tp model.TopicPartition, topic model.TopicID, q replication.Proposal, answer func(replication.Outcome, replication.State)) {
	c := controller.ISRChange{Topic: topic, Partition: tp.Partition, LeaderEpoch: q.LeaderEpoch, PartitionEpoch: q.PartitionEpoch}
	for _, m := range q.ISR {
		c.ISR = append(c.ISR, controller.Member{ID: m.Broker, Epoch: int64(m.Epoch)})
	}
	p.mu.Lock()
	p.changes = append(p.changes, proposed{c, answer})
	p.mu.Unlock()
	p.kick()
}

// Resign implements replica.Controller.
func (p *proposals) Resign(tp model.TopicPartition, topic model.TopicID, epoch model.LeaderEpoch, why replication.Resignation) {
	p.mu.Lock()
	p.resigns[resigned{topic, tp.Partition}] = controller.Resignation{
		Topic: topic, Partition: tp.Partition, LeaderEpoch: epoch, Failed: why != replication.LogStalled,
	}
	p.mu.Unlock()
	p.kick()
}

func (p *proposals) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run makes the calls until ctx ends. Whoever still waits then gets no answer: the wider ISR counts (R3).
func (p *proposals) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		changes, resigns := p.changes, p.resigns
		p.changes, p.resigns = nil, make(map[resigned]controller.Resignation)
		p.mu.Unlock()
		if len(resigns) > 0 { // first: somebody waits for a leader that works
			p.resign(ctx, resigns)
		}
		if len(changes) > 0 {
			p.alter(ctx, changes)
		}
	}
}

func (p *proposals) resign(ctx context.Context, resigns map[resigned]controller.Resignation) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	items := make([]controller.Resignation, 0, len(resigns))
	for _, r := range resigns {
		items = append(items, r)
	}
	errs, err := p.to.Resign(ctx, p.epoch(), items)
	if err = errors.Join(append(errs, err)...); err != nil {
		p.log.Info("not every leadership could be given up; it is tried again while the reason lasts", "error", err)
	}
}

func (p *proposals) alter(ctx context.Context, list []proposed) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	changes := make([]controller.ISRChange, len(list))
	for i := range list {
		changes[i] = list[i].change
	}
	answers, err := p.to.AlterPartitions(ctx, p.epoch(), changes)
	for i := range list {
		if err == nil && answers[i].Err != nil {
			p.log.Debug("an ISR change was declined", "partition", changes[i].Partition, "isr", changes[i].ISR, "reason", answers[i].Err)
		}
		switch {
		case err == nil && answers[i].Err == nil:
			s := &answers[i].State
			list[i].answer(replication.Committed, replication.State{
				Leader: s.Leader, LeaderEpoch: s.LeaderEpoch, PartitionEpoch: s.PartitionEpoch, Replicas: s.Replicas, ISR: s.ISR,
			})
		case err == nil, !errors.Is(err, peer.ErrUnknown):
			list[i].answer(replication.Declined, replication.State{})
		default:
			list[i].answer(replication.Unanswered, replication.State{})
		}
	}
	if err != nil {
		p.log.Info("the active controller has not changed the in-sync replicas of partitions; it is asked again", "partitions", len(list), "error", err)
	}
}
