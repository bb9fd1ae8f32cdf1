package producer

import (
	"slices"
	"sort"

	"chronik/internal/model"
)

// Apply takes over a batch that Check accepted and that has its offsets now. Batches and markers are
// applied in offset order.
func (s *State) Apply(b *Batch) {
	i, created := s.slotFor(b.Producer)
	p := &s.slots[i]
	began := b.Transactional && p.txnFirst == model.NoOffset
	s.undo.push(p, undo{offset: b.BaseOffset, end: b.LastOffset + 1, slot: i, created: created, began: began})

	p.setEpoch(b.Epoch)
	p.ring[p.head] = batch{
		lastOffset: b.LastOffset, maxTimestamp: b.MaxTimestamp,
		lastSeq: b.lastSeq(), delta: int32(b.LastOffset - b.BaseOffset),
	}
	p.head = (p.head + 1) % Retained
	p.count = min(p.count+1, Retained)
	p.maxTimestamp, p.seenMs = b.MaxTimestamp, b.SeenMs
	if began {
		p.txnFirst = b.BaseOffset
		s.open = append(s.open, openTxn{first: b.BaseOffset, producer: b.Producer})
	}
}

// setEpoch begins the sequences anew if the epoch differs. The ring keeps its content, which Revert may
// need again.
func (p *slot) setEpoch(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.count = epoch, 0
	}
}

// ApplyMarker takes over a marker that CheckMarker accepted. It returns the transaction that the marker
// ended; ok is false if none was open here.
func (s *State) ApplyMarker(m *Marker) (c Completed, ok bool) {
	i, created := s.slotFor(m.Producer)
	p := &s.slots[i]
	first := p.txnFirst
	s.undo.push(p, undo{offset: m.Offset, end: m.Offset + 1, slot: i, created: created, ended: first != model.NoOffset})

	p.setEpoch(m.Epoch)
	p.coordinator, p.maxTimestamp, p.seenMs = m.CoordinatorEpoch, m.Timestamp, m.SeenMs
	p.txnFirst = model.NoOffset
	if first == model.NoOffset {
		return Completed{}, false
	}
	s.removeOpen(first)
	s.done = append(s.done, doneTxn{first: first, marker: m.Offset})
	return Completed{
		Producer: m.Producer, FirstOffset: first, LastOffset: m.Offset,
		LastStable: s.FirstOpen(m.Offset + 1), Aborted: !m.Commit,
	}, true
}

// FirstOpen is the first offset of the oldest open transaction, or end if none is open below it.
func (s *State) FirstOpen(end model.Offset) model.Offset {
	if len(s.open) == 0 {
		return end
	}
	return min(end, s.open[0].first)
}

// LastStable is the last stable offset: the highest one, at most highWatermark, below which every
// transaction has ended with a marker that lies below the high watermark itself (T2).
func (s *State) LastStable(highWatermark model.Offset) model.Offset {
	lso := s.FirstOpen(highWatermark)
	for _, d := range s.done {
		if d.marker >= highWatermark {
			lso = min(lso, d.first)
		}
	}
	return lso
}

// Replicated forgets the ended transactions whose marker lies below the high watermark. Call it as the
// watermark moves; LastStable must not be asked for a lower one afterwards (R5).
func (s *State) Replicated(highWatermark model.Offset) {
	n := 0
	for n < len(s.done) && s.done[n].marker < highWatermark {
		n++
	}
	s.done = slices.Delete(s.done, 0, n)
}

// insertOpen puts a transaction back in its place.
func (s *State) insertOpen(t openTxn) {
	i := sort.Search(len(s.open), func(j int) bool { return s.open[j].first > t.first })
	s.open = slices.Insert(s.open, i, t)
}

func (s *State) removeOpen(first model.Offset) {
	i := sort.Search(len(s.open), func(j int) bool { return s.open[j].first >= first })
	s.open = slices.Delete(s.open, i, i+1)
}
