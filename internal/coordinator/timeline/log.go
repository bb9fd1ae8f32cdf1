package timeline

import (
	"chronik/internal/invariant"
	"chronik/internal/model"
)

// Log is the pending changes of some maps. The zero Log has none.
type Log struct {
	changes   queue[change]
	watermark model.Offset
}

// change is one of them. Its map knows what it was: the oldest, or the newest, of those that the map has.
type change struct {
	offset model.Offset
	in     interface {
		settle()
		revert()
	}
}

// Watermark is up to where changes are settled.
func (l *Log) Watermark() model.Offset { return l.watermark }

// Pending is how many changes are not settled.
func (l *Log) Pending() int { return l.changes.len() }

// Settle says that what lies below the watermark is safe. A watermark that is not above the last one changes nothing.
func (l *Log) Settle(watermark model.Offset) {
	if watermark <= l.watermark {
		return
	}
	l.watermark = watermark
	for l.changes.len() > 0 && l.changes.oldest().offset < watermark {
		l.changes.oldest().in.settle()
		l.changes.dropOldest()
	}
	l.changes.shrink(kept)
}

// Revert takes back all changes of records at or above an offset, which must not be below the watermark.
func (l *Log) Revert(from model.Offset) {
	if from < l.watermark {
		invariant.Failf("G1: changes from %d on are to be taken back, they are settled up to %d", from, l.watermark)
	}
	for l.changes.len() > 0 && l.changes.newest().offset >= from {
		l.changes.newest().in.revert()
		l.changes.dropNewest()
	}
}

// push notes a change; false: it is settled already.
func (l *Log) push(c change) bool {
	if c.offset < l.watermark {
		return false
	}
	if l.changes.len() > 0 && l.changes.newest().offset > c.offset {
		invariant.Failf("a change at %d comes after one at %d", c.offset, l.changes.newest().offset)
	}
	l.changes.push(c)
	return true
}
