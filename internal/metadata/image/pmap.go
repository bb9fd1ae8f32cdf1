package image

import (
	"iter"
	"slices"
)

// bucketCount splits a map so that a change copies 1/256 of its entries and the list of buckets: for 10,000 entries
// some 40 of them, and 2 KiB.
const bucketCount = 256

// pmap is a persistent map: a value is never changed, edits make new ones (edit). Small buckets are searched
// from end to end.
type pmap[K comparable, V any] struct {
	buckets *[bucketCount][]entry[K, V]
	len     int
	hash    func(K) uint8
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newPmap[K comparable, V any](hash func(K) uint8) pmap[K, V] {
	return pmap[K, V]{buckets: new([bucketCount][]entry[K, V]), hash: hash}
}

func (m pmap[K, V]) get(k K) (V, bool) {
	bucket := m.buckets[m.hash(k)]
	for i := range bucket {
		if bucket[i].key == k {
			return bucket[i].value, true
		}
	}
	var none V
	return none, false
}

// all yields the entries in no particular order.
func (m pmap[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, bucket := range m.buckets {
			for _, e := range bucket {
				if !yield(e.key, e.value) {
					return
				}
			}
		}
	}
}

// edit changes a copy of a pmap, copying each bucket at most once. The original stays as it is.
type edit[K comparable, V any] struct {
	pmap[K, V]
	owned [bucketCount]bool // the bucket is this edit's own
	any   bool
}

func (m pmap[K, V]) edit() *edit[K, V] { return &edit[K, V]{pmap: m} }

// own makes the bucket of k this edit's own, with room for one more.
func (e *edit[K, V]) own(b uint8) {
	if !e.any {
		buckets := *e.buckets
		e.buckets, e.any = &buckets, true
	}
	if !e.owned[b] {
		old := e.buckets[b]
		e.buckets[b] = append(make([]entry[K, V], 0, len(old)+1), old...)
		e.owned[b] = true
	}
}

func (e *edit[K, V]) set(k K, v V) {
	b := e.hash(k)
	e.own(b)
	for i := range e.buckets[b] {
		if e.buckets[b][i].key == k {
			e.buckets[b][i].value = v
			return
		}
	}
	e.buckets[b] = append(e.buckets[b], entry[K, V]{k, v})
	e.len++
}

func (e *edit[K, V]) remove(k K) {
	b := e.hash(k)
	i := slices.IndexFunc(e.buckets[b], func(x entry[K, V]) bool { return x.key == k })
	if i < 0 {
		return
	}
	e.own(b)
	e.buckets[b] = slices.Delete(e.buckets[b], i, i+1)
	e.len--
}

// done returns the edited map. The edit must not be used again.
func (e *edit[K, V]) done() pmap[K, V] { return e.pmap }

// hashString is FNV-1a, folded. It only spreads names over buckets.
func hashString(s string) uint8 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
