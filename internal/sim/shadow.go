package sim

import (
	"fmt"
	"sort"

	"chronik/internal/model"
	"chronik/internal/record"
)

// stored is a batch as it stands in a log: where, and a fingerprint of what.
type stored struct {
	base, last     model.Offset
	epoch          model.LeaderEpoch
	crc            uint32
	producer       model.ProducerID
	producerEpoch  int16
	first, lastSeq int32
	kind           kind
}

func storedOf(b record.Batch) stored {
	s := stored{
		base: b.BaseOffset(), last: b.LastOffset(), epoch: b.LeaderEpoch(), crc: b.CRC(),
		producer: b.ProducerID(), producerEpoch: b.ProducerEpoch(), first: b.BaseSequence(), lastSeq: b.LastSequence(),
	}
	switch {
	case !b.IsTransactional():
	case !b.IsControl():
		s.kind = inTxn
	default:
		s.kind = abortMark
		if m, err := record.ParseControl(b); err == nil && m.Type == record.Commit {
			s.kind = commitMark
		}
	}
	return s
}

func (s stored) String() string {
	return fmt.Sprintf("[%d..%d epoch %d crc %08x producer %d/%d seq %d]", s.base, s.last, s.epoch, s.crc, s.producer, s.producerEpoch, s.first)
}

// shadow is what a replica's log must hold, kept beside it by who drives it. It outlives crashes, as the disk does.
type shadow struct {
	start   model.Offset
	batches []stored
	durable model.Offset // the log said that it is synced up to here
	settled model.Offset // of a relaxed topic's log: this much is known to be synced
	unsure  bool         // cutting the log has failed: what it says of itself is not what is on the disk, until it is opened again
	dark    bool         // the power has failed since the log was open
	agreed  model.Offset // held against what is committed up to here
	gone    bool         // the log was removed; if it is there again after all, it may hold anything
	flipped bool         // there is a flipped bit in it, which may not have been found yet
}

func (s *shadow) end() model.Offset {
	if n := len(s.batches); n > 0 {
		return s.batches[n-1].last + 1
	}
	return s.start
}

// at returns the index of the batch that holds an offset, or of the first one after it.
func (s *shadow) at(off model.Offset) int {
	return sort.Search(len(s.batches), func(i int) bool { return s.batches[i].last >= off })
}

func (s *shadow) append(b stored) { s.batches = append(s.batches, b) }

// cut removes what ends above an offset.
func (s *shadow) cut(to model.Offset) {
	s.batches = s.batches[:s.at(to)]
	if to < s.start {
		s.start = to
	}
	s.durable, s.settled, s.agreed = min(s.durable, s.end()), min(s.settled, s.end()), min(s.agreed, s.end())
}

// trim forgets what lies below the log's start.
func (s *shadow) trim(start model.Offset) {
	if start <= s.start {
		return
	}
	s.batches = s.batches[s.at(start):]
	s.start = start
	s.durable, s.agreed = max(s.durable, start), max(s.agreed, start)
}

// torn notes that cutting the log has failed: what lay above an offset may be there or not.
func (s *shadow) torn(to model.Offset) {
	s.durable, s.settled, s.agreed = min(s.durable, to), min(s.settled, to), min(s.agreed, to)
	s.unsure = true
}

// restart empties it.
func (s *shadow) restart(at model.Offset) {
	*s = shadow{start: at, durable: at, flipped: s.flipped}
}

// adopt takes what was found for granted: the log is known to be damaged.
func (s *shadow) adopt(start model.Offset, found []stored) {
	s.start, s.batches = start, found
	s.durable, s.agreed = s.end(), start
}

// recovered compares what a log holds after a crash with what it must hold: a prefix, and all that was durable (L1).
//
// A log of a topic with relaxed flushing may lose what was not synced, with the power only (D2).
func (s *shadow) recovered(start model.Offset, found []stored, relaxed bool) error {
	durable := s.durable
	if relaxed && s.dark {
		durable = min(durable, s.settled)
	}
	s.dark, s.unsure = false, false
	if s.gone {
		s.gone = false
		s.adopt(start, found)
		return nil
	}
	if len(found) == 0 && start >= s.durable && s.durable == s.start {
		s.batches, s.durable, s.agreed = nil, start, min(s.agreed, start)
		s.start = start
		return nil
	}
	i := s.at(start)
	for k, b := range found {
		if i+k >= len(s.batches) {
			return fmt.Errorf("found %v past the end at %d", b, s.end())
		}
		if s.batches[i+k] != b {
			return fmt.Errorf("found %v where %v was written", b, s.batches[i+k])
		}
	}
	end := start
	if n := len(found); n > 0 {
		end = found[n-1].last + 1
	}
	if end < durable {
		return fmt.Errorf("found offsets up to %d, synced was up to %d", end, durable)
	}
	s.start, s.batches = start, s.batches[i:i+len(found)]
	s.durable, s.settled, s.agreed = end, end, min(s.agreed, end)
	return nil
}
