package producer

import (
	"maps"
	"slices"

	"chronik/internal/model"
)

// undo is what one batch or marker changed in its producer's slot.
type undo struct {
	offset, end model.Offset // of the batch: its base offset, and the offset after its last
	before      fields
	ring        batch // what stood in ring[before.head]
	slot        int32
	created     bool // the producer was not known before
	began       bool // a transaction began
	ended       bool // a transaction ended
}

// undoLog is a queue of the changes that are not settled, oldest first. Its space is used again and
// again: it grows only while more batches are in flight than ever before.
type undoLog struct {
	entries []undo
	first   int // entries before are settled
}

// keptUndos is the capacity that an empty undo log keeps.
const keptUndos = 16

func (l *undoLog) push(p *slot, u undo) {
	u.before, u.ring = p.fields, p.ring[p.head]
	p.pending++
	if len(l.entries) == cap(l.entries) && l.first > len(l.entries)/2 {
		l.entries = l.entries[:copy(l.entries, l.entries[l.first:])]
		l.first = 0
	}
	l.entries = append(l.entries, u)
}

// Settle says that the log is durable up to durableEnd: what lies below will not be reverted.
func (s *State) Settle(durableEnd model.Offset) {
	l := &s.undo
	for l.first < len(l.entries) && l.entries[l.first].end <= durableEnd {
		u := &l.entries[l.first]
		s.slots[u.slot].pending--
		s.base = u.end
		l.first++
	}
	if l.first == len(l.entries) {
		l.entries, l.first = l.entries[:0], 0
	}
}

// Trim gives back what a busy time has left behind. The log calls it for a partition that went idle.
func (s *State) Trim() {
	if len(s.undo.entries) == 0 && cap(s.undo.entries) > keptUndos {
		s.undo = undoLog{}
	}
}

// Revert takes back all batches and markers from the offset on, which must not be settled. The caller
// truncates the transaction index to the same offset.
func (s *State) Revert(from model.Offset) {
	l := &s.undo
	for n := len(l.entries); n > l.first && l.entries[n-1].offset >= from; n-- {
		u := &l.entries[n-1]
		p := &s.slots[u.slot]
		if u.began {
			s.removeOpen(u.offset)
		}
		p.fields = u.before
		p.ring[p.head] = u.ring
		p.pending--
		if u.ended {
			s.insertOpen(openTxn{first: p.txnFirst, producer: p.producer})
			// Markers are in order. This one is forgotten already if the watermark has passed it: other replicas had synced it before this one.
			if n := len(s.done); n > 0 && s.done[n-1].marker == u.offset {
				s.done = s.done[:n-1]
			}
		}
		if u.created {
			s.removeSlot(u.slot)
		}
		l.entries = l.entries[:n-1]
	}
	if l.first == len(l.entries) {
		l.entries, l.first = l.entries[:0], 0
	}
}

// Before returns a copy of the state as it was before the batches from an offset on, which must not be
// settled.
func (s *State) Before(from model.Offset) State {
	c := *s
	c.index, c.slots, c.free = maps.Clone(s.index), slices.Clone(s.slots), slices.Clone(s.free)
	c.open, c.done = slices.Clone(s.open), slices.Clone(s.done)
	c.undo.entries = slices.Clone(s.undo.entries)
	c.Revert(from)
	return c
}

// TruncateTo follows a log whose end is now end. It returns false, and changes nothing, if batches above
// are settled: then the state must be rebuilt, from a snapshot that holds up to end or less, or from the
// log's start.
func (s *State) TruncateTo(end model.Offset) bool {
	if end < s.base {
		return false
	}
	s.Revert(end)
	return true
}
