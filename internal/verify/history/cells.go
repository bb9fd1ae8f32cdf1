package history

import (
	"encoding/binary"
	"time"
)

// outcome of a write, as far as it is known.
type outcome byte

const (
	never outcome = iota // not invoked
	open
	acked
	failed
	unknown
)

func (o outcome) String() string {
	return [...]string{"never written", "not answered", "acknowledged", "failed for certain", "of unknown outcome"}[o]
}

// write is what is known of one value.
type write struct {
	outcome       outcome
	partition     int32
	invoked, done time.Duration
	offset        int64 // where it was acknowledged
	seen          int64 // where it was first read, plus 1
}

const (
	writeWidth = 40
	placeWidth = 8
)

func (w *write) load(b []byte) {
	*w = write{
		outcome: outcome(b[0]), partition: int32(binary.LittleEndian.Uint32(b[4:])),
		invoked: time.Duration(binary.LittleEndian.Uint64(b[8:])), done: time.Duration(binary.LittleEndian.Uint64(b[16:])),
		offset: int64(binary.LittleEndian.Uint64(b[24:])), seen: int64(binary.LittleEndian.Uint64(b[32:])),
	}
}

func (w *write) store(b []byte) {
	b[0] = byte(w.outcome)
	binary.LittleEndian.PutUint32(b[4:], uint32(w.partition))
	binary.LittleEndian.PutUint64(b[8:], uint64(w.invoked))
	binary.LittleEndian.PutUint64(b[16:], uint64(w.done))
	binary.LittleEndian.PutUint64(b[24:], uint64(w.offset))
	binary.LittleEndian.PutUint64(b[32:], uint64(w.seen))
}

// place is what is known of one offset: which value, and from whom. Values that are not ours have sequence 0, and producer 0 or 1.
type place uint64

const (
	byAck    place = 1 << 60 << iota // acknowledged here
	byPoll                           // shown to a consumer
	byFinal                          // there when all was over
	occupied                         // any of them
)

func placeOf(v Value, how place) place {
	switch v {
	case Foreign:
		return how | occupied
	case Corrupt:
		return how | occupied | 1<<seqBits
	}
	return how | occupied | place(v.Producer)<<seqBits | place(v.Seq)
}

func (p place) value() Value {
	v := Value{Producer: int32(p >> seqBits & (maxProducers - 1)), Seq: int64(p & (maxSeq - 1))}
	switch {
	case v.Seq > 0:
		return v
	case v.Producer == 0:
		return Foreign
	}
	return Corrupt
}

func (p place) has(how place) bool { return p&how != 0 }

// write returns what is known of a value.
func (c *Checker) write(v Value) (w write) {
	w.load(c.pages.cell(2*int(v.Producer)+1, writeWidth, v.Seq, false))
	return w
}

func (c *Checker) setWrite(v Value, w write) {
	w.store(c.pages.cell(2*int(v.Producer)+1, writeWidth, v.Seq, true))
}

// place returns what is known of an offset at or above the partition's base.
func (c *Checker) place(p *partition, offset int64) place {
	return place(binary.LittleEndian.Uint64(c.pages.cell(2*int(p.number), placeWidth, offset-p.base, false)))
}

func (c *Checker) setPlace(p *partition, offset int64, pl place) {
	binary.LittleEndian.PutUint64(c.pages.cell(2*int(p.number), placeWidth, offset-p.base, true), uint64(pl))
}
