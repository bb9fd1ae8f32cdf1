package stream

import (
	"encoding/binary"
	"sync"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// memLog is a log in memory. A batch is its base offset, its number of records, its epoch and its size, and then bytes.
type memLog struct {
	mu      sync.Mutex // for readers beside the shell
	start   model.Offset
	batches []memBatch
	synced  model.Offset
	led     model.LeaderEpoch // that its owner leads in; 0: none
	hot     int               // how many of the last batches count as being in memory
}

type memBatch struct {
	base, end model.Offset
	epoch     model.LeaderEpoch
	bytes     []byte
	owner     *mem.Buf
}

const batchHeader = 8 + 4 + 4 + 4

func makeBatch(base model.Offset, count int, epoch model.LeaderEpoch, size int) *mem.Buf {
	buf := mem.Get(max(size, batchHeader))
	b := buf.Bytes()
	clear(b)
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[8:], uint32(count))
	binary.BigEndian.PutUint32(b[12:], uint32(epoch))
	binary.BigEndian.PutUint32(b[16:], uint32(len(b)))
	for i := batchHeader; i < len(b); i++ {
		b[i] = byte(int(base) + i)
	}
	return buf
}

func (l *memLog) end() model.Offset {
	if n := len(l.batches); n > 0 {
		return l.batches[n-1].end
	}
	return l.start
}

func (l *memLog) own() replication.Own {
	l.mu.Lock()
	defer l.mu.Unlock()
	return replication.Own{Start: l.start, End: l.end(), Synced: l.synced}
}

// firstOf is the length of the batches at the beginning of bytes that are at most most bytes together, or of one, and where they end.
func firstOf(bytes []byte, most int) (n int, end model.Offset) {
	for rest := bytes; len(rest) > 0; rest = bytes[n:] {
		size := int(binary.BigEndian.Uint32(rest[16:]))
		if n > 0 && n+size > most {
			break
		}
		n, end = n+size, model.Offset(binary.BigEndian.Uint64(rest))+model.Offset(binary.BigEndian.Uint32(rest[8:]))
	}
	return n, end
}

// append adds the batches in bytes, which belong to owner. It is false if they do not follow.
func (l *memLog) append(bytes []byte, owner *mem.Buf) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(bytes) > 0 {
		size := int(binary.BigEndian.Uint32(bytes[16:]))
		b := memBatch{base: model.Offset(binary.BigEndian.Uint64(bytes)), epoch: model.LeaderEpoch(binary.BigEndian.Uint32(bytes[12:])), bytes: bytes[:size:size], owner: owner}
		b.end = b.base + model.Offset(binary.BigEndian.Uint32(bytes[8:]))
		if b.base != l.end() {
			return false
		}
		owner.Retain()
		l.batches = append(l.batches, b)
		bytes = bytes[size:]
	}
	return true
}

// syncTo makes what lies below off durable.
func (l *memLog) syncTo(off model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = max(l.synced, min(off, l.end()))
}

// find is the index of the batch that holds off.
func (l *memLog) find(off model.Offset) int {
	lo, hi := 0, len(l.batches)
	for lo < hi {
		if mid := (lo + hi) / 2; l.batches[mid].end <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// inMemory returns the batch at off, if it counts as being in memory.
func (l *memLog) inMemory(off model.Offset) (memBatch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.find(off)
	if i < len(l.batches)-l.hot || !l.holds(i, off) {
		return memBatch{}, false
	}
	l.batches[i].owner.Retain()
	return l.batches[i], true
}

// holds tells whether off is in batch i. It may have been trimmed since somebody heard of it.
func (l *memLog) holds(i int, off model.Offset) bool {
	return i < len(l.batches) && l.batches[i].base <= off
}

// read copies durable batches.
func (l *memLog) read(from model.Offset, most int) Batches {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	end := from
	first := l.find(from)
	if !l.holds(first, from) {
		return Batches{}
	}
	for i := first; i < len(l.batches) && l.batches[i].end <= l.synced; i++ {
		if len(out) > 0 && len(out)+len(l.batches[i].bytes) > most {
			break
		}
		out, end = append(out, l.batches[i].bytes...), l.batches[i].end
	}
	if len(out) == 0 {
		return Batches{}
	}
	buf := mem.Get(len(out))
	copy(buf.Bytes(), out)
	return Batches{Bytes: buf.Bytes(), End: end, Owner: buf}
}

func (l *memLog) cut(to model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := len(l.batches); n > 0 && l.batches[n-1].end > to; n = len(l.batches) {
		l.batches[n-1].owner.Release()
		l.batches = l.batches[:n-1]
	}
	l.synced = min(l.synced, l.end())
}

func (l *memLog) restart(at model.Offset) {
	l.cut(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start, l.synced = at, at
}

// trim deletes whole batches below to.
func (l *memLog) trim(to model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.batches) > 0 && l.batches[0].end <= to {
		l.batches[0].owner.Release()
		l.start, l.batches = l.batches[0].end, l.batches[1:]
	}
	l.synced = max(l.synced, l.start)
}

// LastEpoch and EpochEnd make it a replication.History.
func (l *memLog) LastEpoch() model.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.batches); n > 0 {
		return l.batches[n-1].epoch
	}
	return model.NoEpoch
}

func (l *memLog) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e == l.led && e > 0 {
		return e, l.end()
	}
	for i := len(l.batches) - 1; i >= 0; i-- {
		if l.batches[i].epoch <= e {
			return l.batches[i].epoch, l.batches[i].end
		}
	}
	if len(l.batches) == 0 {
		return model.NoEpoch, model.NoOffset
	}
	return e, l.start
}

// bytes is everything in the log.
func (l *memLog) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, b := range l.batches {
		out = append(out, b.bytes...)
	}
	return out
}
