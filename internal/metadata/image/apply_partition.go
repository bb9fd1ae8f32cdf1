package image

import (
	"fmt"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// partition finds a partition whose partition epoch is the expected one.
func (b *builder) partition(topic []byte, number, epoch int32) (*Topic, *Partition, error) {
	id := model.TopicID(topic)
	t, ok := b.topics.get(id)
	if !ok {
		return nil, nil, conflict("topic %s does not exist any more", id)
	}
	if number < 0 || int(number) >= len(t.Partitions) {
		return nil, nil, conflict("topic %s has no partition %d", t.Name, number)
	}
	p := t.Partitions[number]
	if p.PartitionEpoch != epoch {
		return nil, nil, conflict("partition %s-%d is at partition epoch %d, not %d", t.Name, number, p.PartitionEpoch, epoch)
	}
	return t, p, nil
}

func (b *builder) setLeader(c *command.SetPartitionLeader) error {
	t, old, err := b.partition(c.TopicId, c.Partition, c.ExpectedPartitionEpoch)
	if err != nil {
		return err
	}
	p := *old
	p.Leader, p.ISR, p.ELR = model.BrokerID(c.Leader), model.BrokerIDs(c.Isr), model.BrokerIDs(c.Elr)
	p.LeaderEpoch++ // R1: an epoch has one leader
	p.LastKnownLeader, p.Cut = model.NoBroker, nil
	return b.replace(t, c.Partition, &p)
}

func (b *builder) updateISR(c *command.UpdateISR) error {
	t, old, err := b.partition(c.TopicId, c.Partition, c.ExpectedPartitionEpoch)
	if err != nil {
		return err
	}
	if int32(old.LeaderEpoch) != c.LeaderEpoch {
		return conflict("partition %s-%d is at leader epoch %d, not %d", t.Name, c.Partition, old.LeaderEpoch, c.LeaderEpoch)
	}
	p := *old
	p.ISR, p.ELR = model.BrokerIDs(c.Isr), model.BrokerIDs(c.Elr)
	p.Cut = slices.DeleteFunc(slices.Clone(p.Cut), func(c CutLog) bool {
		return !p.member(c.Node) || p.Leader != model.NoBroker && slices.Contains(p.ISR, c.Node)
	})
	return b.replace(t, c.Partition, &p)
}

func (b *builder) replace(t *Topic, number int32, p *Partition) error {
	p.PartitionEpoch++
	if err := p.check(); err != nil {
		return fmt.Errorf("partition %s-%d: %w", t.Name, number, err)
	}
	b.setPartition(b.own(t), number, p)
	return nil
}

// changePartitions sets partitions to the states that a decision led to.
func (b *builder) changePartitions(c *command.ChangePartitions) error {
	for _, change := range c.Changes {
		t, old, err := b.partition(c.TopicId, change.Partition, change.ExpectedPartitionEpoch)
		if err != nil {
			return err
		}
		p := partitionOf(change)
		p.LeaderEpoch, p.PartitionEpoch = old.LeaderEpoch, old.PartitionEpoch
		if change.BeginsLeaderEpoch {
			p.LeaderEpoch++
		} else if p.Leader != old.Leader || !subset(old.Replicas, p.Replicas) {
			return fmt.Errorf("partition %s-%d: %w: its leader or its replicas change within a leader epoch", t.Name, change.Partition, command.ErrFormat)
		}
		if err := b.replace(t, change.Partition, p); err != nil {
			return err
		}
		if change.Unclean {
			b.delta.Unclean = append(b.delta.Unclean, model.TopicPartition{Topic: t.Name, Partition: change.Partition})
		}
	}
	return nil
}

func partitionOf(c *command.PartitionChange) *Partition {
	p := &Partition{Replicas: model.BrokerIDs(c.Replicas), ISR: model.BrokerIDs(c.Isr), ELR: model.BrokerIDs(c.Elr), Leader: model.BrokerID(c.Leader),
		Adding: model.BrokerIDs(c.Adding), Removing: model.BrokerIDs(c.Removing), LastKnownLeader: orNone(c.LastKnownLeader), Cut: cutLogs(c.Cut)}
	if slices.Equal(p.ISR, p.Replicas) {
		p.ISR = p.Replicas // shared: neither is ever changed
	}
	return p
}

func orNone(id *int32) model.BrokerID {
	if id == nil {
		return model.NoBroker
	}
	return model.BrokerID(*id)
}

func cutLogs(list []*command.CutLog) []CutLog {
	if len(list) == 0 {
		return nil
	}
	out := make([]CutLog, len(list))
	for i, c := range list {
		out[i] = CutLog{Node: model.BrokerID(c.NodeId), End: model.Offset(c.EndOffset)}
	}
	return out
}

// check refuses a state that no sequence of right decisions leads to.
func (p *Partition) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{command.ErrFormat}, args...)...)
	}
	switch {
	case !subset(p.ISR, p.Replicas):
		return bad("ISR %v of replicas %v", p.ISR, p.Replicas)
	case !subset(p.ELR, p.Replicas) || meet(p.ELR, p.ISR):
		return bad("ELR %v beside ISR %v of replicas %v", p.ELR, p.ISR, p.Replicas)
	case !subset(p.Adding, p.Replicas) || !subset(p.Removing, p.Replicas) || meet(p.Adding, p.Removing):
		return bad("adding %v and removing %v of replicas %v", p.Adding, p.Removing, p.Replicas)
	case len(p.Removing) > 0 && len(p.Removing) == len(p.Replicas):
		return bad("all replicas %v are removed", p.Replicas)
	case slices.ContainsFunc(p.Cut, func(c CutLog) bool { return !p.member(c.Node) }):
		return bad("cut logs %v outside of ISR %v and ELR %v", p.Cut, p.ISR, p.ELR)
	case p.Leader == model.NoBroker:
		return nil
	case !slices.Contains(p.ISR, p.Leader):
		return bad("the leader %d is not in the ISR", p.Leader)
	case slices.ContainsFunc(p.Cut, func(c CutLog) bool { return slices.Contains(p.ISR, c.Node) }):
		return bad("it has a leader, and cut logs %v in the ISR %v", p.Cut, p.ISR)
	case p.LastKnownLeader != model.NoBroker:
		return bad("it has a leader, and remembers the one before")
	}
	return nil
}

// member tells whether a replica holds all that was acknowledged, as far as the metadata knows.
func (p *Partition) member(id model.BrokerID) bool {
	return slices.Contains(p.ISR, id) || slices.Contains(p.ELR, id)
}

// subset tells whether a list without repetitions has only members of all.
func subset(list, all []model.BrokerID) bool {
	for i, id := range list {
		if slices.Contains(list[:i], id) || !slices.Contains(all, id) {
			return false
		}
	}
	return true
}

func meet(a, b []model.BrokerID) bool {
	return slices.ContainsFunc(a, func(id model.BrokerID) bool { return slices.Contains(b, id) })
}
