package timeline

import (
	"iter"

	"chronik/internal/model"
)

// Map is a map whose changes may be pending. Make one with NewMap.
type Map[K comparable, V any] struct {
	log     *Log
	newest  map[K]V
	changes queue[undo[K, V]] // that are pending
	pending map[K]span        // which of them are of a key
}

// undo is what a key had before a change.
type undo[K comparable, V any] struct {
	key      K
	before   value[V]
	previous uint64 // change of the key; its own number: there is none
	next     uint64 // likewise
}

// value is one that a key had, or that it had none.
type value[V any] struct {
	v  V
	ok bool
}

// span is the pending changes of a key, by their numbers.
type span struct{ oldest, newest uint64 }

// NewMap returns an empty map whose changes are kept in l.
func NewMap[K comparable, V any](l *Log) *Map[K, V] {
	return &Map[K, V]{log: l, newest: make(map[K]V), pending: make(map[K]span)}
}

// Get returns the newest value of a key, pending or not.
func (m *Map[K, V]) Get(k K) (V, bool) {
	v, ok := m.newest[k]
	return v, ok
}

// Settled returns the value that a key has below the watermark.
func (m *Map[K, V]) Settled(k K) (V, bool) {
	if p, ok := m.pending[k]; ok {
		before := m.changes.at(p.oldest).before
		return before.v, before.ok
	}
	return m.Get(k)
}

// Unsettled tells whether a key has pending changes.
func (m *Map[K, V]) Unsettled(k K) bool {
	_, ok := m.pending[k]
	return ok
}

// Len is how many keys have a value, pending or not.
func (m *Map[K, V]) Len() int { return len(m.newest) }

// Empty tells whether there is no value, no pending one, and none that could come back.
func (m *Map[K, V]) Empty() bool { return len(m.newest) == 0 && len(m.pending) == 0 }

// All yields the newest values, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, v := range m.newest {
			if !yield(k, v) {
				return
			}
		}
	}
}

// AllSettled yields what is below the watermark, in no order.
func (m *Map[K, V]) AllSettled() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, p := range m.pending {
			if before := m.changes.at(p.oldest).before; before.ok && !yield(k, before.v) {
				return
			}
		}
		for k, v := range m.newest {
			if !m.Unsettled(k) && !yield(k, v) {
				return
			}
		}
	}
}

// Put gives a key a value, by the record at an offset. Offsets never decrease.
func (m *Map[K, V]) Put(at model.Offset, k K, v V) {
	m.note(at, k)
	m.newest[k] = v
}

// Delete takes away a key's value, by the record at an offset.
func (m *Map[K, V]) Delete(at model.Offset, k K) {
	if _, ok := m.newest[k]; ok {
		m.note(at, k)
		delete(m.newest, k)
	}
}

func (m *Map[K, V]) note(at model.Offset, k K) {
	if !m.log.push(change{at, m}) {
		return
	}
	n := m.changes.next()
	p, ok := m.pending[k]
	if ok {
		m.changes.at(p.newest).next = n
	} else {
		p = span{n, n}
	}
	v, had := m.newest[k]
	m.changes.push(undo[K, V]{key: k, before: value[V]{v, had}, previous: p.newest, next: n})
	m.pending[k] = span{p.oldest, n}
}

// settle implements change: the oldest change is safe.
func (m *Map[K, V]) settle() {
	c := m.changes.oldest()
	if p := m.pending[c.key]; p.oldest == p.newest {
		delete(m.pending, c.key)
	} else {
		m.pending[c.key] = span{c.next, p.newest}
	}
	m.changes.dropOldest()
	m.changes.shrink(0)
}

// revert implements change: the newest change was none.
func (m *Map[K, V]) revert() {
	c := m.changes.newest()
	if c.before.ok {
		m.newest[c.key] = c.before.v
	} else {
		delete(m.newest, c.key)
	}
	if p := m.pending[c.key]; p.oldest == p.newest {
		delete(m.pending, c.key)
	} else {
		m.pending[c.key] = span{p.oldest, c.previous}
	}
	m.changes.dropNewest()
	m.changes.shrink(0)
}
