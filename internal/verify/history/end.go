package history

import "time"

// zombie is how long after a change of leaders the old one may still acknowledge by itself, and what the client observed of the change may be late.
const zombie = time.Minute

// skipped looks whether anything stands where polls jumped.
func (c *Checker) skipped(p *partition) {
	for _, s := range p.skips {
		c.now = s.at
		for o := s.from; o < min(s.to, p.top); o++ {
			if pl := c.place(p, o); pl.has(byPoll | byFinal) {
				c.report(Skipped, p.number, o, []Value{pl.value()}, "consumer %d was given offset %d after %d: record %s at %d is missing, up to %d may be",
					s.client, s.to, s.from-1, pl.value(), o, s.to-s.from)
				break
			}
		}
	}
}

// sweep goes through the offsets of a partition: what vanished, and the order of what is there.
func (c *Checker) sweep(p *partition) {
	last := make(map[int32]Value) // producer -> its last acknowledged record
	var latest Value              // of those before, the one that was sent last
	var latestAt int64            // where it stands
	var latestInvoked time.Duration
	for o := p.base; o < p.top; o++ {
		pl := c.place(p, o)
		if !pl.has(occupied) {
			continue
		}
		v := pl.value()
		if p.complete && o >= p.start && pl.has(byPoll) && !pl.has(byFinal) && !c.ackedAt(v, p, o) {
			c.report(Vanished, p.number, o, []Value{v}, "a consumer was shown record %s at offset %d; at the end it is not there", v, o)
		}
		if !v.known() || !pl.has(byPoll|byFinal) {
			continue
		}
		w := c.write(v)
		if w.outcome == acked && w.offset == o {
			if before := last[v.Producer]; before.Seq > v.Seq && c.rules(v).ordered() {
				c.report(Reordered, p.number, o, []Value{before, v}, "record %s at offset %d stands behind %s, which was sent later", v, o, before)
			}
			last[v.Producer] = v
			if w.done < latestInvoked {
				c.now = w.done
				c.report(RealTime, p.number, o, []Value{latest, v}, "record %s at offset %d was sent after %s at offset %d was acknowledged", latest, latestAt, v, o)
			}
		}
		if w.outcome != never && w.invoked > latestInvoked {
			latest, latestAt, latestInvoked = v, o, w.invoked
		}
	}
}

func (c *Checker) ackedAt(v Value, p *partition, offset int64) bool {
	if !v.known() {
		return false
	}
	w := c.write(v)
	return w.outcome == acked && w.partition == p.number && w.offset == offset
}

// kept looks for each acknowledged record of a producer where it was acknowledged.
func (c *Checker) kept(number int32) {
	pr := c.producers[number]
	for seq := int64(1); seq <= pr.last; seq++ {
		v := Value{number, seq}
		w := c.write(v)
		p := c.partitions[w.partition]
		if w.outcome != acked || !p.complete || w.offset < p.base {
			continue
		}
		if pl := c.place(p, w.offset); pl.value() == v && pl.has(byFinal) {
			continue
		}
		c.now = w.done
		c.missing(p, v, w)
	}
}

// missing judges an acknowledged record that is not where it should be.
func (c *Checker) missing(p *partition, v Value, w write) {
	switch {
	case w.offset < p.start:
		c.report(Expired, p.number, w.offset, []Value{v}, "record %s at offset %d: the log now starts at %d", v, w.offset, p.start)
	case c.rules(v).Acks == 1 && p.moved && p.movedAt > w.invoked-zombie && !c.shownAt(p, w.offset, v):
		c.report(LostByLeader, p.number, w.offset, []Value{v}, "record %s, acknowledged at offset %d, is not there; the leader has changed since", v, w.offset)
	case c.stands(p, w.seen-1, v):
		c.report(Inconsistent, p.number, w.offset, []Value{v}, "record %s was acknowledged at offset %d and stands at %d", v, w.offset, w.seen-1)
	case w.offset >= p.end:
		c.report(Lost, p.number, w.offset, []Value{v}, "record %s, acknowledged at offset %d, is not there: the log ends at %d%s", v, w.offset, p.end, shown(w))
	default:
		c.report(Lost, p.number, w.offset, []Value{v}, "record %s, acknowledged at offset %d, is not there%s%s", v, w.offset, instead(c.place(p, w.offset)), shown(w))
	}
}

// shownAt tells whether a consumer was shown a value at an offset: more than the leader has it then, or the leader was all that there had to be.
func (c *Checker) shownAt(p *partition, offset int64, v Value) bool {
	pl := c.place(p, offset)
	return pl.has(byPoll) && pl.value() == v
}

func (c *Checker) stands(p *partition, offset int64, v Value) bool {
	if offset < p.base {
		return false
	}
	pl := c.place(p, offset)
	return pl.has(byFinal) && pl.value() == v
}

func instead(pl place) string {
	if !pl.has(byFinal) {
		return ""
	}
	return ", record " + pl.value().String() + " stands there"
}

func shown(w write) string {
	if w.seen == 0 {
		return ""
	}
	return "; a consumer was shown it"
}
