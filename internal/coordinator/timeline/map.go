package timeline

import (
	"iter"

	"chronik/internal/model"
)

// Map is a map whose changes may be pending. Make one with NewMap.
type Map[K comparable, V any] struct {
	log     *Log
	newest  map[K]V
	pending map[K][]value[V] // of keys with pending changes: what was there before each, the settled one first
}

// value is one that a key had, or that it had none.
type value[V any] struct {
	v  V
	ok bool
}

// NewMap returns an empty map whose changes are kept in l.
func NewMap[K comparable, V any](l *Log) *Map[K, V] {
	return &Map[K, V]{log: l, newest: make(map[K]V), pending: make(map[K][]value[V])}
}

// Get returns the newest value of a key, pending or not.
func (m *Map[K, V]) Get(k K) (V, bool) {
	v, ok := m.newest[k]
	return v, ok
}

// Settled returns the value that a key has below the watermark.
func (m *Map[K, V]) Settled(k K) (V, bool) {
	if p := m.pending[k]; len(p) > 0 {
		return p[0].v, p[0].ok
	}
	return m.Get(k)
}

// Unsettled tells whether a key has pending changes.
func (m *Map[K, V]) Unsettled(k K) bool { return len(m.pending[k]) > 0 }

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
			if p[0].ok && !yield(k, p[0].v) {
				return
			}
		}
		for k, v := range m.newest {
			if len(m.pending[k]) == 0 && !yield(k, v) {
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
	if m.log.push(change{at, m, k}) {
		v, ok := m.newest[k]
		m.pending[k] = append(m.pending[k], value[V]{v, ok})
	}
}

// settle implements change: the key's oldest pending change is safe.
func (m *Map[K, V]) settle(key any) {
	k := key.(K)
	if p := m.pending[k]; len(p) > 1 {
		m.pending[k] = p[1:]
	} else {
		delete(m.pending, k)
	}
}

// revert implements change: the key's newest change was none.
func (m *Map[K, V]) revert(key any) {
	k := key.(K)
	p := m.pending[k]
	last := p[len(p)-1]
	if last.ok {
		m.newest[k] = last.v
	} else {
		delete(m.newest, k)
	}
	if len(p) > 1 {
		m.pending[k] = p[:len(p)-1]
	} else {
		delete(m.pending, k)
	}
}
