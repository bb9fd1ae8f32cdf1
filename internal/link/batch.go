package link

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"

	"chronik/internal/invariant"
	"chronik/internal/mem"
)

const (
	// wantWrite is how many bytes one write should carry at most. A frame that is larger goes alone.
	wantWrite = 256 << 10
	// copyBelow is the size up to which bytes are copied into the batch: cheaper than an element of a gathering write.
	copyBelow = 4 << 10
	// keepBuffer is the capacity that an idle batch may hold on to.
	keepBuffer = 512 << 10
)

// Batch is frames that leave in one write. Between Begin and End the body of a frame is appended.
type Batch struct {
	buf      []byte // headers and copied bytes
	parts    []part // what is not copied, in order
	size     int    // of everything, in bytes
	frames   int
	maxBody  int
	begun    int // where the open frame's header is in buf; -1: none is open
	sizeThen int // size before the open frame
	partThen int // len(parts) before the open frame
	gather   net.Buffers
}

// part is bytes that stand before buf[at:], and belong to somebody else.
type part struct {
	at    int
	bytes []byte
	owner *mem.Buf
}

func newBatch(maxBody int) *Batch { return &Batch{maxBody: maxBody, begun: -1} }

// Begin opens a frame.
func (b *Batch) Begin(kind byte) {
	if b.begun >= 0 || kind < FirstType {
		invariant.Failf("link: a frame of type %d was begun, within another one or of a type that is the link's own", kind)
	}
	b.begin(kind)
}

func (b *Batch) begin(kind byte) {
	b.begun, b.sizeThen, b.partThen = len(b.buf), b.size, len(b.parts)
	b.buf = append(b.buf, 0, 0, 0, 0, kind, 0, 0, 0, 0)
	b.size += frameHeader
}

// Append adds a copy of p to the body.
func (b *Batch) Append(p []byte) {
	b.buf = append(b.buf, p...)
	b.size += len(p)
}

// Attach adds p to the body, without a copy if it is large. Then owner, whose bytes p are, is retained until they are written; without an owner
// (nil) p must never change again.
func (b *Batch) Attach(p []byte, owner *mem.Buf) {
	if len(p) < copyBelow {
		b.Append(p)
		return
	}
	if owner != nil {
		owner.Retain()
	}
	b.parts = append(b.parts, part{at: len(b.buf), bytes: p, owner: owner})
	b.size += len(p)
}

// End closes the frame. One that exceeds the role's limit is taken back, and ErrTooLarge returned.
func (b *Batch) End() error {
	body := b.size - b.sizeThen - frameHeader
	if body > b.maxBody {
		kind := b.buf[b.begun+4]
		b.takeBack()
		return fmt.Errorf("%w: type %d has %d bytes, the most is %d", ErrTooLarge, kind, body, b.maxBody)
	}
	head := b.buf[b.begun:]
	binary.BigEndian.PutUint32(head, uint32(body))
	sum := crc32.Checksum(head[:5], castagnoli)
	at := b.begun + frameHeader
	for i := range b.parts[b.partThen:] {
		p := &b.parts[b.partThen+i]
		sum = crc32.Update(crc32.Update(sum, castagnoli, b.buf[at:p.at]), castagnoli, p.bytes)
		at = p.at
	}
	sum = crc32.Update(sum, castagnoli, b.buf[at:])
	binary.BigEndian.PutUint32(head[5:], sum)
	b.begun = -1
	b.frames++
	return nil
}

// takeBack drops the open frame.
func (b *Batch) takeBack() {
	for i := range b.parts[b.partThen:] {
		b.parts[b.partThen+i].release()
	}
	b.parts = b.parts[:b.partThen]
	b.buf, b.size = b.buf[:b.begun], b.sizeThen
	b.begun = -1
}

// Full tells whether what is in the batch is worth a write of its own.
func (b *Batch) Full() bool { return b.size >= wantWrite }

// Room is how many bytes may be added until the batch is Full.
func (b *Batch) Room() int { return max(0, wantWrite-b.size) }

// Size is the bytes in the batch.
func (b *Batch) Size() int { return b.size }

func (b *Batch) empty() bool { return b.size == 0 }

// buffers is everything in order, for one gathering write. It is valid until reset.
func (b *Batch) buffers() *net.Buffers {
	out := b.gather[:0]
	at := 0
	for i := range b.parts {
		p := &b.parts[i]
		if p.at > at {
			out = append(out, b.buf[at:p.at])
		}
		out = append(out, p.bytes)
		at = p.at
	}
	if at < len(b.buf) {
		out = append(out, b.buf[at:])
	}
	b.gather = out
	return &b.gather
}

// reset releases what the batch refers to, and empties it.
func (b *Batch) reset() {
	for i := range b.parts {
		b.parts[i].release()
	}
	b.parts = b.parts[:0]
	if cap(b.buf) > keepBuffer {
		b.buf = nil
	}
	b.buf, b.size, b.frames, b.begun = b.buf[:0], 0, 0, -1
}

func (p *part) release() {
	if p.owner != nil {
		p.owner.Release()
	}
	*p = part{}
}
