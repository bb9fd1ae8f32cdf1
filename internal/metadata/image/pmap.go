package image

import (
	"iter"
	"slices"
)

// A map is split into branches x branches buckets, so that a change copies little: two short arrays and one
// bucket, of some 40 entries where there are 10,000.
const branches = 16

// pmap is a persistent map: a value is never changed, edits make new ones (edit). Buckets are short, and searched
// from end to end.
type pmap[K comparable, V any] struct {
	root [branches]*branch[K, V]
	len  int
	hash func(K) uint8 // its halves choose the branch and the bucket
}

type branch[K comparable, V any] [branches][]entry[K, V]

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newPmap[K comparable, V any](hash func(K) uint8) *pmap[K, V] {
	return &pmap[K, V]{hash: hash}
}

func (m *pmap[K, V]) get(k K) (V, bool) {
	h := m.hash(k)
	if b := m.root[h/branches]; b != nil {
		bucket := b[h%branches]
		for i := range bucket {
			if bucket[i].key == k {
				return bucket[i].value, true
			}
		}
	}
	var none V
	return none, false
}

// all yields the entries in no particular order.
func (m *pmap[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, b := range m.root {
			if b == nil {
				continue
			}
			for _, bucket := range b {
				for _, e := range bucket {
					if !yield(e.key, e.value) {
						return
					}
				}
			}
		}
	}
}

// edit is a pmap that is being changed: a copy of another one, of which it copies each branch and each bucket at most
// once, when it is about to change it. The other one stays as it is.
type edit[K comparable, V any] struct {
	from  *pmap[K, V]
	to    *pmap[K, V] // from itself until the first change
	owned map[uint8]bool
}

func (m *pmap[K, V]) edit() edit[K, V] { return edit[K, V]{from: m, to: m} }

func (e *edit[K, V]) get(k K) (V, bool) { return e.to.get(k) }

// own returns the bucket of hash h, to be changed.
func (e *edit[K, V]) own(h uint8) *[]entry[K, V] {
	if e.to == e.from {
		c := *e.from
		e.to, e.owned = &c, map[uint8]bool{}
	}
	at := &e.to.root[h/branches]
	if *at == nil || *at == e.from.root[h/branches] {
		c := new(branch[K, V])
		if *at != nil {
			*c = **at
		}
		*at = c
	}
	bucket := &(*at)[h%branches]
	if !e.owned[h] {
		*bucket = append(make([]entry[K, V], 0, len(*bucket)+1), *bucket...)
		e.owned[h] = true
	}
	return bucket
}

func (e *edit[K, V]) set(k K, v V) {
	bucket := e.own(e.from.hash(k))
	for i := range *bucket {
		if (*bucket)[i].key == k {
			(*bucket)[i].value = v
			return
		}
	}
	*bucket = append(*bucket, entry[K, V]{k, v})
	e.to.len++
}

func (e *edit[K, V]) remove(k K) {
	if _, ok := e.get(k); !ok {
		return
	}
	bucket := e.own(e.from.hash(k))
	*bucket = slices.DeleteFunc(*bucket, func(x entry[K, V]) bool { return x.key == k })
	e.to.len--
}

// done returns the edited map. The edit must not be used again.
func (e *edit[K, V]) done() *pmap[K, V] { return e.to }

// hashString is FNV-1a, folded. It only spreads names over buckets.
func hashString(s string) uint8 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
