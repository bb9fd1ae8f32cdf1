package group

import (
	"slices"
	"time"
	"unicode/utf16"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// committed is an offset of a group. It does not change.
type committed struct {
	offset   model.Offset
	epoch    model.LeaderEpoch
	metadata string
	commitMs int64
	expireMs int64 // schema.NoTime: as the broker is configured
	topicID  model.TopicID
	record   model.Offset // of the log: which of two commits is newer, when one comes with its transaction's end
	legacy   bool         // there may be a record under the key of 2014, which takes a tombstone of its own
}

func fromRecord(v *schema.Offset) *committed {
	if v == nil {
		return nil
	}
	return &committed{offset: v.Offset, epoch: v.LeaderEpoch, metadata: v.Metadata, commitMs: v.CommitTimestamp, expireMs: v.ExpireTimestamp, topicID: v.TopicID}
}

func fromLegacy(v *schema.LegacyOffset) *committed {
	if v == nil {
		return nil
	}
	return &committed{offset: v.Offset, epoch: model.NoEpoch, metadata: v.Metadata, commitMs: v.CommitTimestamp, expireMs: schema.NoTime}
}

// Commit stores offsets. They are in the newest view with the records, and seen by readers once these are settled.
func (m *Machine) Commit(now time.Time, r CommitRequest, reply func(CommitReply)) shard.Result {
	d := m.decide(now)
	g, err := d.checkCommit(&r)
	out := CommitReply{Err: err, Offsets: make([]error, len(r.Offsets))}
	for i := range r.Offsets {
		if o := &r.Offsets[i]; err == nil && tooLong(o.Metadata, m.Config.MaxMetadataBytes) {
			out.Offsets[i] = ErrMetadataTooLarge
		} else if err == nil {
			d.record(o.as(&r, now.UnixMilli()))
		}
	}
	told(d, reply, out)
	return d.done(g)
}

func (o *CommitOffset) as(r *CommitRequest, nowMs int64) *schema.OffsetCommit {
	expire := schema.NoTime
	if r.RetentionMs != -1 {
		expire = nowMs + r.RetentionMs
	}
	return &schema.OffsetCommit{
		Key: schema.OffsetKey{Group: r.Group, Topic: o.Topic, Partition: o.Partition},
		Value: &schema.Offset{Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata,
			CommitTimestamp: nowMs, ExpireTimestamp: expire, TopicID: o.TopicID},
	}
}

// tooLong counts as Kafka does, which has UTF-16 in memory.
func tooLong(s string, most int) bool {
	if len(s) <= most {
		return false
	}
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n > most
}

// checkCommit tells whether a request may commit for its group, which need not exist if the request is from no member.
func (d *decision) checkCommit(r *CommitRequest) (*group, error) {
	g := d.m.lookup(r.Group)
	if g == nil {
		if r.Generation >= 0 {
			return nil, ErrGroupNotFound
		}
		return nil, nil
	}
	d.mend(g)
	switch {
	case g.isConsumer():
		return g, d.checkConsumerCommit(g, r)
	case g.isStreams():
		return g, d.checkStreamsCommit(g, r, false)
	case g.isShare():
		return g, ErrShareOffsets
	}
	c := d.m.view(g)
	switch {
	case r.Generation < 0 && c.state == Empty:
		return g, nil
	case r.Generation < 0 && r.Member == "" && r.Instance == nil:
		return g, ErrUnknownMember
	}
	mem, err := c.member(r.Member, r.Instance)
	switch {
	case err != nil:
		return g, err
	case r.Generation != c.generation:
		return g, ErrIllegalGeneration
	case c.state == CompletingRebalance:
		return g, ErrRebalance
	}
	d.session(g, mem, mem.session()) // committing is a sign of life
	return g, nil
}

// Fetch answers with what is settled, at once.
func (m *Machine) Fetch(r FetchRequest) FetchReply {
	g := m.groups[r.Group]
	if err := m.checkFetch(g, &r); err != nil {
		return FetchReply{Err: err}
	}
	partitions := r.Partitions
	if g != nil && partitions == nil {
		partitions = g.fetchable(r.Stable)
	}
	var unstable map[model.TopicPartition]bool
	if g != nil && r.Stable {
		unstable = g.pending.unstable()
	}
	out := FetchReply{Offsets: make([]FetchedOffset, 0, len(partitions))}
	for _, tp := range partitions {
		f := FetchedOffset{TopicPartition: tp, Offset: model.NoOffset, LeaderEpoch: model.NoEpoch}
		if g != nil {
			g.fetch(&f, r.Stable, unstable)
		}
		out.Offsets = append(out.Offsets, f)
	}
	return out
}

// fetchable are the partitions of all offsets, in order; if they are to be stable also those that are about to have one.
func (g *group) fetchable(stable bool) []model.TopicPartition {
	var all []model.TopicPartition
	for tp := range g.offsets.AllSettled() {
		all = append(all, tp)
	}
	if stable {
		for tp := range g.offsets.All() {
			if _, ok := g.offsets.Settled(tp); !ok {
				all = append(all, tp)
			}
		}
		for tp := range g.pending.unstable() {
			all = append(all, tp)
		}
	}
	slices.SortFunc(all, model.TopicPartition.Compare)
	return slices.Compact(all)
}

func (g *group) fetch(f *FetchedOffset, stable bool, unstable map[model.TopicPartition]bool) {
	if stable && (g.offsets.Unsettled(f.TopicPartition) || unstable[f.TopicPartition]) {
		f.Err = ErrUnstableOffset
	} else if c, ok := g.offsets.Settled(f.TopicPartition); ok {
		f.Offset, f.LeaderEpoch, f.Metadata, f.TopicID = c.offset, c.epoch, c.metadata, c.topicID
	}
}

// DeleteOffsets takes offsets away that no member of the group is subscribed to.
func (m *Machine) DeleteOffsets(now time.Time, r DeleteOffsetsRequest, reply func(DeleteOffsetsReply)) shard.Result {
	d := m.decide(now)
	out := DeleteOffsetsReply{Offsets: make([]error, len(r.Partitions))}
	g := m.lookup(r.Group)
	switch {
	case g == nil:
		out.Err = ErrGroupNotFound
	case g.isShare():
		out.Err = ErrShareOffsets
	default:
		d.mend(g)
		if c := m.view(g); g.isConsumer() {
			d.deleteOffsets(g, g.consumer, r.Partitions, out.Offsets)
		} else if g.isStreams() {
			d.deleteOffsets(g, g.streams, r.Partitions, out.Offsets)
		} else if c.state != Empty && c.protocolType != consumerProtocol {
			out.Err = ErrNonEmptyGroup
		} else {
			d.deleteOffsets(g, c, r.Partitions, out.Offsets)
		}
	}
	told(d, reply, out)
	return d.done(g)
}

func (d *decision) deleteOffsets(g *group, c subscriber, partitions []model.TopicPartition, errs []error) {
	done := make(map[model.TopicPartition]bool)
	for i, tp := range partitions {
		switch {
		case c.subscribes(tp.Topic):
			errs[i] = ErrSubscribed
		case !done[tp]:
			d.deleteOffset(g, tp)
		}
		done[tp] = true
	}
}

// deleteOffset writes the tombstone of an offset, if there is one or an open transaction has one, and returns how many records that took.
func (d *decision) deleteOffset(g *group, tp model.TopicPartition) int {
	o, ok := g.offsets.Get(tp)
	if !ok && len(g.pending.keys(tp)) == 0 {
		return 0
	}
	k := schema.OffsetKey{Group: g.id, Topic: tp.Topic, Partition: tp.Partition}
	d.record(&schema.OffsetCommit{Key: k})
	if !ok || !o.legacy {
		return 1
	}
	d.record(&schema.LegacyOffsetCommit{Key: k})
	return 2
}

// partitions are those that a group has offsets of, in order; not those that only an open transaction has.
func (g *group) partitions() []model.TopicPartition {
	all := make([]model.TopicPartition, 0, g.offsets.Len())
	for tp := range g.offsets.All() {
		all = append(all, tp)
	}
	slices.SortFunc(all, model.TopicPartition.Compare)
	return all
}
