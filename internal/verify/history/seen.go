package history

// see takes records that were read, and holds each against what is known of it and of its offset.
func (c *Checker) see(p *partition, e *Event, r Run, how place) {
	for i, v := range r.Values {
		offset := r.Offset + int64(i)
		if how == byFinal {
			c.counts.Read++
		} else {
			c.counts.Polled++
		}
		if offset < p.base {
			continue
		}
		p.top = max(p.top, offset+1)
		if !c.occupy(p, offset, v, how) {
			continue
		}
		switch v {
		case Foreign:
			c.counts.Foreign++
		case Corrupt:
			c.report(Damaged, p.number, offset, nil, "the record at offset %d does not match its checksum", offset)
		default:
			c.identify(p, offset, v)
		}
	}
}

// occupy notes that a value stands at an offset, and tells whether nobody has read it there before.
func (c *Checker) occupy(p *partition, offset int64, v Value, how place) (fresh bool) {
	was := c.place(p, offset)
	switch {
	case !was.has(occupied):
	case was.value() == v:
		if !was.has(how) {
			c.setPlace(p, offset, was|how)
		}
		return !was.has(byPoll | byFinal)
	case !was.has(byPoll|byFinal) && c.rules(was.value()).Acks == 1: // acknowledged by a leader alone: judged at the end
	default:
		c.report(Inconsistent, p.number, offset, []Value{was.value(), v}, "offset %d holds record %s, and %s record %s", offset, v, was.how(), was.value())
	}
	c.setPlace(p, offset, placeOf(v, how))
	return true
}

// identify holds a record that was read against its write.
func (c *Checker) identify(p *partition, offset int64, v Value) {
	var w write
	if v.known() {
		w = c.write(v)
	}
	switch {
	case w.outcome == never:
		c.report(Ghost, p.number, offset, nil, "record %s at offset %d was never sent", v, offset)
		return
	case w.outcome == failed:
		c.report(Ghost, p.number, offset, []Value{v}, "record %s is at offset %d, and its producer was told that it is not written", v, offset)
	case w.partition != p.number:
		c.report(Inconsistent, p.number, offset, []Value{v}, "record %s at offset %d was sent to partition %d", v, offset, w.partition)
		return
	}
	switch {
	case w.seen == 0:
		w.seen = offset + 1
		c.setWrite(v, w)
	case w.seen == offset+1:
	case c.rules(v).once():
		c.report(Duplicated, p.number, offset, []Value{v}, "record %s is at offset %d and at offset %d", v, w.seen-1, offset)
	default:
		c.report(RetriedTwice, p.number, offset, []Value{v}, "record %s is at offset %d and at offset %d", v, w.seen-1, offset)
	}
}

// polled takes what a consumer was given.
func (c *Checker) polled(p *partition, e *Event) {
	at := c.position(e)
	if !at.set {
		at.next, at.set = e.Offset, true
	}
	if e.End >= 0 {
		if e.End < at.watermark {
			c.report(WatermarkFell, p.number, e.End, nil, "consumer %d was told of high watermark %d, before of %d", e.Client, e.End, at.watermark)
		}
		at.watermark = e.End
	}
	for _, r := range e.Runs {
		if len(r.Values) == 0 {
			continue
		}
		if r.Offset < at.next {
			c.report(WentBack, p.number, r.Offset, r.Values[:1], "consumer %d was given offset %d, its position was %d", e.Client, r.Offset, at.next)
		}
		// What lies below the start of the log was deleted before the poll.
		if from := max(at.next, e.Start, p.base); from < r.Offset && len(p.skips) < maxKept {
			p.skips = append(p.skips, skip{e.Client, from, r.Offset, e.Time})
		}
		at.next = r.Offset + int64(len(r.Values))
		c.see(p, e, r, byPoll)
	}
}

// bounds takes what a client was told of the ends of a log.
func (c *Checker) bounds(p *partition, e *Event) {
	at := c.position(e)
	switch e.Kind {
	case OutOfRange:
		if e.Offset > e.Start { // unknown: 0
			c.report(Rewound, p.number, e.Offset, nil, "consumer %d had read up to offset %d and was told that the log has no such offset", e.Client, e.Offset)
		}
	case Truncated:
		c.report(Rewound, p.number, e.End, nil, "consumer %d had read up to offset %d and was told that the log was cut at %d", e.Client, e.Offset, e.End)
		at.next, at.set = e.End, true
	case Listed:
		if e.End < at.listed {
			c.report(Rewound, p.number, e.End, nil, "the log ended at %d for client %d, before at %d", e.End, e.Client, at.listed)
		}
		at.listed = e.End
	}
}
