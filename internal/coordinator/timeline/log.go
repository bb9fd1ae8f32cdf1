package timeline

import (
	"chronik/internal/invariant"
	"chronik/internal/model"
)

// Log is the pending changes of some maps. The zero Log has none.
type Log struct {
	changes   []change // oldest first
	first     int      // those before it are settled
	watermark model.Offset
}

// change is one of them. Its map knows what it was.
type change struct {
	offset model.Offset
	in     interface {
		settle(key any)
		revert(key any)
	}
	key any
}

// keptChanges is the capacity that an empty log holds on to.
const keptChanges = 1024

// Watermark is up to where changes are settled.
func (l *Log) Watermark() model.Offset { return l.watermark }

// Pending is how many changes are not settled.
func (l *Log) Pending() int { return len(l.changes) - l.first }

// Settle says that what lies below the watermark is safe. A watermark that is not above the last one changes nothing.
func (l *Log) Settle(watermark model.Offset) {
	if watermark <= l.watermark {
		return
	}
	l.watermark = watermark
	for l.first < len(l.changes) && l.changes[l.first].offset < watermark {
		c := &l.changes[l.first]
		c.in.settle(c.key)
		*c = change{}
		l.first++
	}
	switch {
	case l.first == len(l.changes) && cap(l.changes) > keptChanges:
		l.changes, l.first = nil, 0
	case l.first == len(l.changes):
		l.changes, l.first = l.changes[:0], 0
	case l.first > len(l.changes)/2: // never empty for long: the settled half makes room
		n := copy(l.changes, l.changes[l.first:])
		clear(l.changes[n:])
		l.changes, l.first = l.changes[:n], 0
	}
}

// Revert takes back all changes of records at or above an offset, which must not be below the watermark.
func (l *Log) Revert(from model.Offset) {
	if from < l.watermark {
		invariant.Failf("G1: changes from %d on are to be taken back, they are settled up to %d", from, l.watermark)
	}
	for len(l.changes) > l.first {
		c := &l.changes[len(l.changes)-1]
		if c.offset < from {
			return
		}
		c.in.revert(c.key)
		*c = change{}
		l.changes = l.changes[:len(l.changes)-1]
	}
}

// push notes a change; false: it is settled already.
func (l *Log) push(c change) bool {
	if c.offset < l.watermark {
		return false
	}
	if n := len(l.changes); n > l.first && l.changes[n-1].offset > c.offset {
		invariant.Failf("a change at %d comes after one at %d", c.offset, l.changes[n-1].offset)
	}
	l.changes = append(l.changes, c)
	return true
}
