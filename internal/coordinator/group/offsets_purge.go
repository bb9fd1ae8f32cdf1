package group

import (
	"chronik/internal/coordinator/shard"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// purgePause is between two decisions that delete offsets of topics that are gone.
const purgePause = 100 * time.Millisecond

// purge is the offsets whose topics are gone. They are deleted some at a time, and each stays here until its tombstone is settled, as
// the log may refuse it.
type purge struct{ left []doomed }

type doomed struct {
	group  *group
	tp     model.TopicPartition
	of     model.ProducerID // whose transaction has it; model.NoProducer: it is committed
	offset *committed       // that one, and none that is committed later, perhaps for another topic of the name
}

func (p *purge) doom(m *Machine, gone func(string, *committed) bool) {
	for _, id := range m.ids() {
		g := m.groups[id]
		for _, tp := range g.partitions() {
			if o, _ := g.offsets.Get(tp); gone(tp.Topic, o) {
				p.left = append(p.left, doomed{g, tp, model.NoProducer, o})
			}
		}
		for _, k := range g.pending.all() {
			if o, _ := g.pending.offsets.Get(k); gone(k.Topic, o) {
				p.left = append(p.left, doomed{g, k.TopicPartition, k.producer, o})
			}
		}
	}
}

// absent looks for offsets of topics that the metadata does not have.
func absent(im *image.Image) func(string, *committed) bool {
	return func(topic string, o *committed) bool {
		t := im.Topic(topic)
		return t == nil || !o.topicID.IsZero() && o.topicID != t.ID
	}
}

// deleted looks for offsets of topics that were deleted just now. Others may have their names since (L5).
func deleted(im *image.Image, topics []*image.Topic) func(string, *committed) bool {
	names := make(map[string]bool)
	for _, t := range topics {
		names[t.Name] = true
	}
	return func(topic string, o *committed) bool {
		return names[topic] && (o.topicID.IsZero() || absent(im)(topic, o))
	}
}

// now is what the partition has instead. What a transaction has does not count any more when something newer is committed, perhaps
// for another topic of the name.
func (x *doomed) now() (newest, settled *committed) {
	newest, _ = x.group.offsets.Get(x.tp)
	settled, _ = x.group.offsets.Settled(x.tp)
	if x.of == model.NoProducer || newest == x.offset { // its transaction has committed since
		return newest, settled
	}
	if newest != nil && newest.record > x.offset.record {
		return nil, nil
	}
	k := pendingKey{x.of, x.tp}
	newest, _ = x.group.pending.offsets.Get(k)
	settled, _ = x.group.pending.offsets.Settled(k)
	return newest, settled
}

// purge deletes some of what is doomed, and comes back for the rest.
func (d *decision) purge() {
	p := &d.m.purge
	var kept []doomed
	n := 0
	for ; n < len(p.left) && len(d.out.Records) < mostTombstones; n++ {
		x := p.left[n]
		newest, settled := x.now()
		switch x.offset {
		case newest:
			d.deleteOffset(x.group, x.tp)
			kept = append(kept, x)
		case settled:
			kept = append(kept, x)
		}
	}
	if p.left = append(p.left[n:], kept...); len(p.left) == 0 {
		p.left = nil
		return
	}
	d.timer(shard.TimerKey{Kind: PurgeTimer}, d.now.Add(purgePause))
}
