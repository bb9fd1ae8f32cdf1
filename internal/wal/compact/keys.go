package compact

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"chronik/internal/model"
)

// Salt makes what keys hash to unpredictable for those who choose them.
type Salt [16]byte

// slotBytes is what one key costs, however long it is.
const slotBytes = 24

// Keys remembers the latest offset of each key in a bounded amount of memory.
//
// It holds no key, but 128 bits of a salted SHA-256 of each. Two keys that agree in all of them would be taken for one, and the
// older record dropped: with 10^9 keys that happens once in 10^21 rounds, and nobody can bring it about, as the salt is drawn for
// each round. Keeping the keys themselves would make the memory depend on their length; comparing with the log would cost a read each.
type Keys struct {
	slots []slot // open addressing; as many as a power of two
	most  int    // keys that are let in
	n     int
	salt  Salt
	hash  hash.Hash
	sum   [sha256.Size]byte
}

type slot struct {
	a, b uint64
	next model.Offset // one past the latest offset; 0: free
}

// minSlots is the smallest table.
const minSlots = 1 << 10

// NewKeys returns an empty table for at most expect keys, in at most limit bytes, filled to at most load of its slots (0 to 1).
func NewKeys(limit int64, load float64, expect int64, salt Salt) *Keys {
	load = min(max(load, 0.1), 0.95)
	slots := int64(minSlots)
	for slots*2*slotBytes <= limit && float64(slots)*load < float64(expect) {
		slots *= 2
	}
	return &Keys{slots: make([]slot, slots), most: max(int(float64(slots)*load), 1), salt: salt, hash: sha256.New()}
}

// Len is how many keys are in.
func (k *Keys) Len() int { return k.n }

// Put notes that a key has a record at an offset, which must be above those that it was given before. It is false if there is no
// room for another key.
func (k *Keys) Put(key []byte, off model.Offset) bool {
	s := k.find(key)
	if s.next == 0 {
		if k.n >= k.most {
			return false
		}
		k.n++
	}
	s.next = max(s.next, off+1)
	return true
}

// Superseded tells whether a key has a record above an offset.
func (k *Keys) Superseded(key []byte, off model.Offset) bool {
	return k.find(key).next > off+1
}

// find returns the slot of a key, or the one where it belongs.
func (k *Keys) find(key []byte) *slot {
	k.hash.Reset()
	k.hash.Write(k.salt[:])
	k.hash.Write(key)
	sum := k.hash.Sum(k.sum[:0])
	a, b := binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])
	mask := uint64(len(k.slots) - 1)
	for i := a & mask; ; i = (i + 1) & mask {
		s := &k.slots[i]
		if s.next == 0 {
			s.a, s.b = a, b
			return s
		}
		if s.a == a && s.b == b {
			return s
		}
	}
}
