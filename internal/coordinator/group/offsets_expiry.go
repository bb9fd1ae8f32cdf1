package group

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// mostTombstones is about how many records one decision of a sweep writes: it shares a batch with what is urgent.
const mostTombstones = 1000

// mostGroups is how many groups one decision of a sweep looks at: requests wait meanwhile.
const mostGroups = 2000

// sweep is where a round through all groups stands.
type sweep struct{ left []string }

// sweep looks for what has expired: a part of all groups, the others at once after this, then all of them again after a while.
func (d *decision) sweep() {
	s := &d.m.sweep
	if len(s.left) == 0 {
		s.left = d.m.ids()
	}
	for n := 0; len(s.left) > 0 && n < mostGroups && len(d.out.Records) < mostTombstones; n++ {
		if g := d.m.lookup(s.left[0]); g != nil {
			d.mend(g)
			d.expire(g)
			d.m.tidy(g)
		}
		s.left = s.left[1:]
	}
	next := d.now
	if len(s.left) == 0 {
		s.left, next = nil, d.now.Add(d.m.Config.SweepEvery)
	}
	d.timer(shard.TimerKey{Kind: SweepTimer}, next)
}

// expire deletes what has expired of a group, and the group if it is empty and nothing else is left of it.
func (d *decision) expire(g *group) {
	if g.isShare() {
		d.cleanShare(g)
		return
	}
	nowMs := d.now.UnixMilli()
	expires, subscribes, empty := d.expiring(g, nowMs)
	unstable := g.pending.unstable()
	expired, all := 0, unstable == nil
	for _, tp := range g.partitions() {
		o, _ := g.offsets.Get(tp)
		if expired >= mostTombstones || !expires(o) || subscribes(tp.Topic) || unstable[tp] {
			all = false
			continue
		}
		expired += d.deleteOffset(g, tp)
	}
	if all && empty {
		d.deleteGroup(g)
	}
}

// expiring is what a group's kind says: which offsets are old enough, whether a topic is subscribed to, and whether nobody is there.
func (d *decision) expiring(g *group, nowMs int64) (expires func(*committed) bool, subscribes func(string) bool, empty bool) {
	retention := d.m.Config.Retention
	if c := g.consumer; g.isConsumer() {
		return func(o *committed) bool { return o.old(o.commitMs, nowMs, retention) }, c.subscribes, c.members.Len() == 0
	}
	if c := g.streams; g.isStreams() {
		return func(o *committed) bool { return o.old(o.commitMs, nowMs, retention) }, c.subscribes, c.members.Len() == 0
	}
	c := d.m.view(g)
	return func(o *committed) bool { return c.expires(o, nowMs, retention) }, c.subscribes, c.state == Empty && len(c.pending) == 0
}

// expires tells whether an offset is old enough, if its topic is not subscribed to. The time counts from the commit, and in a group
// that has lost its last member from then on. While a group rebalances, or nobody knows what it is subscribed to, nothing expires.
func (c *classic) expires(o *committed, nowMs int64, retention time.Duration) bool {
	from := o.commitMs
	switch {
	case c.protocolType == "": // a group that only commits
	case c.state == Empty:
		if c.sinceMs != schema.NoTime {
			from = c.sinceMs
		}
	case c.protocolType != consumerProtocol || c.state != Stable || c.subscribed == nil:
		return false
	}
	return o.old(from, nowMs, retention)
}

// old tells whether an offset's time is over, which counts from a time on unless the commit said how long.
func (o *committed) old(fromMs, nowMs int64, retention time.Duration) bool {
	if o.expireMs != schema.NoTime {
		return nowMs >= o.expireMs
	}
	return nowMs-fromMs >= retention.Milliseconds()
}

// deleteGroup writes a group's tombstone, if there is something in the log.
func (d *decision) deleteGroup(g *group) {
	if g.isConsumer() {
		d.record(g.consumer.tombstones(g.id)...)
		return
	}
	if g.isStreams() {
		d.record(g.streams.tombstones(g.id)...)
		return
	}
	if g.isShare() {
		d.record(g.share.shareTombstones(g.id)...)
		return
	}
	if _, ok := d.m.saved.Get(g.id); ok {
		d.record(&schema.GroupMetadata{Key: schema.GroupKey{Group: g.id}})
	}
}
