package mem

import (
	"sync/atomic"

	"chronik/internal/invariant"
)

// poisonByte fills released memory in builds with the tag `invariants`. It is a plausible value of no field: as a batch
// magic it is unknown, as a length negative.
const poisonByte = 0xDB

// Buf is a buffer that several holders share. The zero Buf is of no use; they come from a Pool.
type Buf struct {
	refs   atomic.Int32
	class  int    // of the pool; numClasses for one made to measure
	n      int    // bytes asked for
	charge int64  // bytes to return to the pool's budget
	mem    []byte // of the class's full size
	pool   *Pool
}

// Bytes returns the buffer's bytes, as many as were asked for. They may be used until the holder's Release.
func (b *Buf) Bytes() []byte {
	if invariant.Enabled {
		invariant.Assert(b.refs.Load() > 0, "mem: Bytes of a buffer that was released")
	}
	return b.mem[:b.n:b.n]
}

// Retain adds a holder, who will Release. Only a holder may call it.
func (b *Buf) Retain() {
	if b.refs.Add(1) <= 1 {
		invariant.Failf("mem: a buffer of %d bytes was retained after its last release", b.n)
	}
}

// Release ends one holder's use. The last one gives the memory back.
func (b *Buf) Release() {
	switch left := b.refs.Add(-1); {
	case left == 0:
		b.pool.put(b)
	case left < 0:
		invariant.Failf("mem: a buffer of %d bytes was released %d times too often", b.n, -left)
	}
}

// poison makes the bytes useless to whoever still reads them.
func (b *Buf) poison() {
	if !invariant.Enabled {
		return
	}
	for i := range b.mem {
		b.mem[i] = poisonByte
	}
}

// checkPoison finds out that somebody has written to the buffer after its last release.
func (b *Buf) checkPoison() {
	if !invariant.Enabled {
		return
	}
	for i, c := range b.mem {
		if c != poisonByte {
			invariant.Failf("mem: byte %d of a pooled buffer of %d bytes was written after its release", i, len(b.mem))
		}
	}
}
