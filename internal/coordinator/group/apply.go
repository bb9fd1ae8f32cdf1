package group

import (
	"fmt"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// simple is what is saved of a group that has committed offsets and never had a member.
var simple = &schema.ClassicGroup{CurrentStateTimestamp: schema.NoTime}

// Apply changes what is replicated as the record at an offset says. An error ends the machine: what comes after cannot be applied.
func (m *Machine) Apply(off model.Offset, e shard.Entry) error {
	m.end = off + 1
	if e.Marker != nil {
		m.applyMarker(off, e.Marker)
		return nil
	}
	switch r := e.Record.(type) {
	case *schema.OffsetCommit:
		m.applyOffset(off, e.Producer, r.Key, fromRecord(r.Value), false)
	case *schema.LegacyOffsetCommit:
		m.applyOffset(off, e.Producer, r.Key, fromLegacy(r.Value), true)
	case *schema.GroupMetadata:
		m.applyGroup(off, r.Key.Group, r.Value)
	default:
		if !m.applyConsumer(off, e.Record) && !m.applyShare(off, e.Record) && !m.applyStreams(off, e.Record) {
			return fmt.Errorf("%w: %T", errNotClassic, e.Record)
		}
	}
	return nil
}

func (m *Machine) applyOffset(off model.Offset, producer model.ProducerID, k schema.OffsetKey, c *committed, legacy bool) {
	tp := model.TopicPartition{Topic: k.Topic, Partition: k.Partition}
	if c == nil {
		if g := m.groups[k.Group]; g != nil {
			g.offsets.Delete(off, tp)
			g.pending.drop(off, tp)
		}
		return
	}
	g := m.open(k.Group)
	if _, ok := m.saved.Get(k.Group); !ok && (g.consumer == nil || !g.consumer.exists()) && (g.streams == nil || !g.streams.exists()) {
		m.applyGroup(off, k.Group, simple)
	}
	if producer != model.NoProducer {
		m.applyPending(off, g, pendingKey{producer, tp}, c)
		return
	}
	if old, ok := g.offsets.Get(tp); ok {
		c.legacy = old.legacy // the old record is still in the log
	}
	c.legacy = c.legacy || legacy
	c.record = off
	g.offsets.Put(off, tp, c)
}

func (m *Machine) applyGroup(off model.Offset, id string, v *schema.ClassicGroup) {
	g := m.open(id)
	if v == nil {
		m.saved.Delete(off, id)
	} else {
		m.saved.Put(off, id, v)
	}
	g.wrote = off
	if m.saved.Unsettled(id) {
		m.writes = append(m.writes, groupWrite{off, g})
	}
}

// wrote notes a record of a group of a new protocol: until it is settled the log may take it back.
func (m *Machine) wrote(off model.Offset, g *group) {
	g.wrote = off
	if off >= m.log.Watermark() {
		m.writes = append(m.writes, groupWrite{off, g})
	}
}

// Settle says that what was applied below the watermark is safe.
func (m *Machine) Settle(watermark model.Offset) {
	m.log.Settle(watermark)
	n := 0
	for n < len(m.writes) && m.writes[n].off < watermark {
		m.tidy(m.writes[n].group)
		n++
	}
	m.writes = append(m.writes[:0], m.writes[n:]...)
	m.settleEnds(watermark)
}

// Revert says that the log has refused what was applied from an offset on. Groups whose last write that was rebalance at the next
// chance: what their members know has not been written.
func (m *Machine) Revert(from model.Offset) {
	m.log.Revert(from)
	m.end = min(m.end, from)
	m.revertEnds(from)
	for n := len(m.writes) - 1; n >= 0 && m.writes[n].off >= from; n-- {
		g := m.writes[n].group
		m.writes = m.writes[:n]
		saved, ok := m.saved.Get(g.id)
		if g.classic == nil && ok && len(saved.Members) > 0 {
			g.classic = restore(saved)
		}
		if g.classic != nil {
			g.classic.reverted = true
		}
		if g.consumer != nil {
			g.consumer.revert()
		}
		if g.share != nil {
			g.share.revert()
			g.share.shares.revert(from)
		}
		if g.streams != nil {
			g.streams.revert()
		}
	}
}
