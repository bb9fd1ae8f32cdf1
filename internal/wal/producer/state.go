package producer

import (
	"cmp"
	"slices"

	"chronik/internal/model"
)

// Retained is how many batches of each producer are remembered. An idempotent client has at most five
// requests in flight, so every retry meets its original among them.
const Retained = 5

// noEpoch is the epoch of a slot before its first batch.
const noEpoch int16 = -1

// State holds all producers of one partition. The zero State is empty and ready to use.
type State struct {
	index map[model.ProducerID]int32 // producer -> its slot; nil until the first
	slots []slot
	free  []int32 // unused slots

	open []openTxn // transactions without a marker, by first offset
	done []doneTxn // those with a marker that the high watermark has not passed, by marker

	undo undoLog
	base model.Offset // batches below are settled: what Revert cannot take back
}

// slot is all that is known of one producer: 168 bytes, no pointers.
type slot struct {
	producer model.ProducerID
	ring     [Retained]batch // the last batches; ring[head] is written next
	fields
	pending int32 // entries of the undo log that refer to this slot
}

// fields is the part of a slot that every batch changes and that the undo log copies.
type fields struct {
	txnFirst     model.Offset // of the open transaction, or NoOffset
	maxTimestamp int64
	seenMs       int64
	coordinator  int32 // epoch of the coordinator that wrote the last marker, or -1
	epoch        int16
	head         uint8 // ring index of the next batch
	count        uint8 // batches in the ring, all of this epoch
}

type batch struct {
	lastOffset   model.Offset
	maxTimestamp int64
	lastSeq      int32
	delta        int32 // last offset - base offset
}

type openTxn struct {
	first    model.Offset
	producer model.ProducerID
}

type doneTxn struct{ first, marker model.Offset }

var newFields = fields{txnFirst: model.NoOffset, maxTimestamp: -1, seenMs: -1, coordinator: -1, epoch: noEpoch}

// last returns the newest batch; ok is false if none of this epoch is known.
func (p *slot) last() (b batch, ok bool) {
	if p.count == 0 {
		return batch{}, false
	}
	return p.ring[(p.head+Retained-1)%Retained], true
}

// at returns the i-th of the remembered batches, oldest first.
func (p *slot) at(i int) *batch {
	return &p.ring[(int(p.head)+Retained-int(p.count)+i)%Retained]
}

// lookup returns the producer's slot, nil if it has none.
func (s *State) lookup(id model.ProducerID) *slot {
	i, ok := s.index[id]
	if !ok {
		return nil
	}
	return &s.slots[i]
}

// slotFor returns the index of the producer's slot, which it makes if needed.
func (s *State) slotFor(id model.ProducerID) (i int32, created bool) {
	if i, ok := s.index[id]; ok {
		return i, false
	}
	if s.index == nil {
		s.index = make(map[model.ProducerID]int32)
	}
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.slots = append(s.slots, slot{})
		i = int32(len(s.slots) - 1)
	}
	s.slots[i] = slot{producer: id, fields: newFields}
	s.index[id] = i
	return i, true
}

func (s *State) removeSlot(i int32) {
	delete(s.index, s.slots[i].producer)
	s.slots[i] = slot{producer: model.NoProducer}
	s.free = append(s.free, i)
}

// Len is the number of producers.
func (s *State) Len() int { return len(s.index) }

// Reset forgets everything, for a rebuild from the log.
func (s *State) Reset() { *s = State{} }

// Expire forgets the producers that have been silent for expirationMs (producer.id.expiration.ms) at
// nowMs, by the broker's clock, and returns their number. A producer with an open transaction, or with a
// batch that is not settled, stays.
func (s *State) Expire(nowMs, expirationMs int64) int {
	var expired int
	for i := range s.slots {
		p := &s.slots[i]
		if p.producer == model.NoProducer || p.txnFirst != model.NoOffset || p.pending > 0 || nowMs-p.seenMs < expirationMs {
			continue
		}
		s.removeSlot(int32(i))
		expired++
	}
	if expired > 0 && len(s.undo.entries) == 0 && len(s.free) > len(s.slots)/2 {
		s.compact()
	}
	return expired
}

// compact gives the memory of unused slots back. It moves slots, so no undo entry may refer to one.
func (s *State) compact() {
	if len(s.index) == 0 {
		s.index, s.slots, s.free = nil, nil, nil
		return
	}
	slots, index := make([]slot, 0, len(s.index)), make(map[model.ProducerID]int32, len(s.index))
	for _, p := range s.slots {
		if p.producer != model.NoProducer {
			index[p.producer] = int32(len(slots))
			slots = append(slots, p)
		}
	}
	s.index, s.slots, s.free = index, slots, nil
}

// Info describes one producer, for DescribeProducers and for tests.
type Info struct {
	Producer         model.ProducerID
	Epoch            int16
	LastSeq          int32 // NoSequence if no batch of this epoch is known
	LastTimestamp    int64 // ms, -1 if none
	CoordinatorEpoch int32 // -1 if no marker was seen
	TxnStart         model.Offset
	Batches          int // remembered for finding retries
}

// List returns all producers, by ID.
func (s *State) List() []Info {
	infos := make([]Info, 0, len(s.index))
	for _, i := range s.index {
		p := &s.slots[i]
		info := Info{
			Producer: p.producer, Epoch: p.epoch, LastSeq: NoSequence, LastTimestamp: p.maxTimestamp,
			CoordinatorEpoch: p.coordinator, TxnStart: p.txnFirst, Batches: int(p.count),
		}
		if b, ok := p.last(); ok {
			info.LastSeq = b.lastSeq
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Compare(a.Producer, b.Producer) })
	return infos
}
