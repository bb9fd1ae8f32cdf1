package group

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/model"
	"chronik/internal/record"
)

// TxnCommitRequest stores offsets when the producer's transaction commits.
type TxnCommitRequest struct {
	CommitRequest
	Producer shard.Producer
}

// pendingKey is an offset of an open transaction: which epoch of the producer it is does not matter, since its marker ends all of them.
type pendingKey struct {
	producer model.ProducerID
	model.TopicPartition
}

func (k pendingKey) compare(o pendingKey) int {
	return cmp.Or(k.TopicPartition.Compare(o.TopicPartition), cmp.Compare(k.producer, o.producer))
}

// pending is what open transactions would commit for a group.
type pending struct {
	offsets   *timeline.Map[pendingKey, *committed]
	producers *timeline.Map[model.ProducerID, struct{}] // whose they are
}

// empty tells whether there is nothing, and nothing that could come back.
func (p *pending) empty() bool { return p == nil || p.producers.Empty() }

// TxnCommit stores offsets in a producer's transaction, beside what is committed. The partition must have been made part of the
// transaction before: who calls has asked the transaction's coordinator (KIP-890). The members' sessions do not go on for it, and the group
// may be rebalancing: its generation is what counts (KIP-447).
func (m *Machine) TxnCommit(now time.Time, r TxnCommitRequest, reply func(CommitReply)) shard.Result {
	d := m.decide(now)
	g := m.lookup(r.Group)
	err := d.checkTxnCommit(g, &r.CommitRequest)
	out := CommitReply{Err: err, Offsets: make([]error, len(r.Offsets))}
	r.RetentionMs = -1
	for i := range r.Offsets {
		if o := &r.Offsets[i]; err == nil && tooLong(o.Metadata, m.Config.MaxMetadataBytes) {
			out.Offsets[i] = ErrMetadataTooLarge
		} else if err == nil {
			d.record(o.as(&r.CommitRequest, now.UnixMilli()))
		}
	}
	if len(d.out.Records) > 0 {
		d.out.Txn = &r.Producer
	}
	told(d, reply, out)
	return d.done(g)
}

// checkTxnCommit is checkCommit for a transaction. It mends nothing: that would be of the transaction. Nobody has heard of what the log has
// refused, so who comes with that is nobody.
func (d *decision) checkTxnCommit(g *group, r *CommitRequest) error {
	nobody := r.Generation < 0 && r.Member == "" && r.Instance == nil // a transaction need not say who commits; versions before 3 cannot
	switch {
	case g == nil && r.Generation >= 0:
		return ErrIllegalGeneration
	case g == nil:
		return nil
	case g.isConsumer() && nobody:
		return nil
	case g.isConsumer():
		if err := d.checkConsumerCommit(g, r); !errors.Is(err, ErrStaleMemberEpoch) {
			return err
		}
		return ErrIllegalGeneration
	case g.isStreams():
		if err := d.checkStreamsCommit(g, r, true); !errors.Is(err, ErrStaleMemberEpoch) {
			return err
		}
		return ErrIllegalGeneration
	case g.isShare():
		return ErrShareOffsets
	case nobody:
		return nil
	}
	c := d.m.view(g)
	if r.Generation < 0 && c.state == Empty {
		return nil
	}
	if _, err := c.member(r.Member, r.Instance); err != nil {
		return err
	}
	if r.Generation != c.generation {
		return ErrIllegalGeneration
	}
	return nil
}

// Marker ends a producer's transaction in this log: what it has committed counts, or never did. The same marker may come again. raised tells that the epoch was
// raised for it: one that comes late ends nothing that was begun since.
func (m *Machine) Marker(now time.Time, marker record.Marker, raised bool, reply func(error)) shard.Result {
	d := m.decide(now)
	marker.TimestampMs = now.UnixMilli()
	d.out.Marker, d.out.Raised = &marker, raised
	d.answer(reply)
	return d.done(nil)
}

// applyPending keeps an offset until its transaction ends.
func (m *Machine) applyPending(off model.Offset, g *group, k pendingKey, c *committed) {
	if g.pending == nil {
		g.pending = &pending{timeline.NewMap[pendingKey, *committed](&m.log), timeline.NewMap[model.ProducerID, struct{}](&m.log)}
	}
	c.record = off
	g.pending.offsets.Put(off, k, c)
	if _, ok := g.pending.producers.Get(k.producer); !ok {
		g.pending.producers.Put(off, k.producer, struct{}{})
		groups, _ := m.producers.Get(k.producer)
		m.producers.Put(off, k.producer, append(slices.Clone(groups), g.id))
	}
}

// applyMarker ends a transaction: of its offsets those count that are newer than what is there, by their records and not by the marker,
// as compaction may have removed either.
func (m *Machine) applyMarker(off model.Offset, marker *record.Marker) {
	groups, ok := m.producers.Get(marker.Producer)
	if !ok {
		return
	}
	m.producers.Delete(off, marker.Producer)
	for _, id := range groups {
		g := m.groups[id]
		for _, k := range g.pending.of(marker.Producer) {
			c, _ := g.pending.offsets.Get(k)
			g.pending.offsets.Delete(off, k)
			if marker.Type == record.Commit {
				m.applyCommitted(off, g, k.TopicPartition, c)
			}
		}
		g.pending.producers.Delete(off, marker.Producer)
		m.noteEnd(off, g)
	}
}

func (m *Machine) applyCommitted(off model.Offset, g *group, tp model.TopicPartition, c *committed) {
	old, ok := g.offsets.Get(tp)
	if ok && old.record > c.record {
		return
	}
	if ok && old.legacy { // the old record is still in the log
		next := *c
		next.legacy = true
		c = &next
	}
	g.offsets.Put(off, tp, c)
}

// noteEnd has the group looked at when the marker is settled: there may be nothing left of it.
func (m *Machine) noteEnd(off model.Offset, g *group) {
	if off >= m.log.Watermark() {
		m.ends = append(m.ends, groupWrite{off, g})
	}
}

// settleEnds and revertEnds follow Settle and Revert.
func (m *Machine) settleEnds(watermark model.Offset) {
	n := 0
	for n < len(m.ends) && m.ends[n].off < watermark {
		m.tidy(m.ends[n].group)
		n++
	}
	m.ends = slices.Delete(m.ends, 0, n)
}

func (m *Machine) revertEnds(from model.Offset) {
	n := len(m.ends)
	for n > 0 && m.ends[n-1].off >= from {
		n--
	}
	m.ends = slices.Delete(m.ends, n, len(m.ends))
}

// drop: a tombstone is also for what open transactions would commit.
func (p *pending) drop(off model.Offset, tp model.TopicPartition) {
	for _, k := range p.keys(tp) {
		p.offsets.Delete(off, k)
	}
}

// keys are the offsets for a partition, in order.
func (p *pending) keys(tp model.TopicPartition) []pendingKey {
	if p.empty() {
		return nil
	}
	var all []pendingKey
	for producer := range p.producers.All() {
		k := pendingKey{producer, tp}
		if _, ok := p.offsets.Get(k); ok {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, pendingKey.compare)
	return all
}

// of are the offsets of a producer, in order.
func (p *pending) of(producer model.ProducerID) []pendingKey {
	return slices.DeleteFunc(p.all(), func(k pendingKey) bool { return k.producer != producer })
}

func (p *pending) all() []pendingKey {
	if p.empty() {
		return nil
	}
	all := make([]pendingKey, 0, p.offsets.Len())
	for k := range p.offsets.All() {
		all = append(all, k)
	}
	slices.SortFunc(all, pendingKey.compare)
	return all
}

// unstable are the partitions that an open transaction may change, or one whose end is not settled; nil: none.
func (p *pending) unstable() map[model.TopicPartition]bool {
	if p.empty() {
		return nil
	}
	all := make(map[model.TopicPartition]bool)
	for k := range p.offsets.All() {
		all[k.TopicPartition] = true
	}
	for k := range p.offsets.AllSettled() {
		all[k.TopicPartition] = true
	}
	return all
}

// allPartitions are those that a group has offsets of, or an open transaction, in order.
func (g *group) allPartitions() []model.TopicPartition {
	all := g.partitions()
	for _, k := range g.pending.all() {
		all = append(all, k.TopicPartition)
	}
	slices.SortFunc(all, model.TopicPartition.Compare)
	return slices.Compact(all)
}
