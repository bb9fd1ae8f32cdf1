package producer

import (
	"fmt"
	"math"

	"chronik/internal/model"
)

// Check decides about a batch without changing anything. The error matches one of this package's.
//
// The order of the checks is Kafka's: a retry is recognised first, so that it gets its answer even after
// its transaction has ended.
func (s *State) Check(b *Batch, origin Origin) (Verdict, error) {
	if origin == Replication {
		return Verdict{}, nil
	}
	p := s.lookup(b.Producer)
	if origin == Client {
		if b.FirstSeq < 0 {
			return Verdict{}, fmt.Errorf("%w: producer %d sent a batch with sequence %d", ErrOutOfOrderSequence, b.Producer, b.FirstSeq)
		}
		if dup := p.duplicate(b); dup != nil {
			return Verdict{
				Duplicate: true, BaseOffset: dup.lastOffset - model.Offset(dup.delta),
				LastOffset: dup.lastOffset, MaxTimestamp: dup.maxTimestamp,
			}, nil
		}
	}
	inTxn := p != nil && p.txnFirst != model.NoOffset
	switch {
	case b.Transactional && !(inTxn && p.epoch == b.Epoch) && !b.Verified: // under TV2 another epoch is another transaction
		return Verdict{}, fmt.Errorf("producer %d, epoch %d: %w", b.Producer, b.Epoch, ErrUnverified)
	case p != nil && b.Epoch < p.epoch:
		return Verdict{}, fmt.Errorf("%w: producer %d sent epoch %d, the latest is %d", ErrInvalidProducerEpoch, b.Producer, b.Epoch, p.epoch)
	}
	if origin == Client {
		if err := p.checkSequence(b); err != nil {
			return Verdict{}, err
		}
	}
	if inTxn && !b.Transactional {
		return Verdict{}, fmt.Errorf("%w: producer %d sent a batch outside of its transaction, which began at offset %d",
			ErrInvalidTxnState, b.Producer, p.txnFirst)
	}
	return Verdict{}, nil
}

// duplicate returns the remembered batch with the same epoch and sequences, nil if there is none.
func (p *slot) duplicate(b *Batch) *batch {
	if p == nil || p.epoch != b.Epoch {
		return nil
	}
	delta, last := int32(b.LastOffset-b.BaseOffset), b.lastSeq()
	for i := range int(p.count) {
		if c := p.at(i); c.lastSeq == last && c.delta == delta {
			return c
		}
	}
	return nil
}

// checkSequence is Kafka's rule. Any sequence is taken from a producer that is not known: its batches may
// have been deleted by retention. Only a TV2 client, whose epochs are all young, must begin at 0.
func (p *slot) checkSequence(b *Batch) error {
	if b.FirstSeq == 0 && (p == nil || p.count == 0 || p.epoch != b.Epoch) {
		return nil // begins an epoch
	}
	if b.Transactional && b.TV2 && (p == nil || p.count == 0) {
		return fmt.Errorf("%w: producer %d begins with %d, want 0", ErrOutOfOrderSequence, b.Producer, b.FirstSeq)
	}
	if p == nil {
		return nil
	}
	if p.epoch != b.Epoch {
		return fmt.Errorf("%w: producer %d begins epoch %d with %d, want 0", ErrOutOfOrderSequence, b.Producer, b.Epoch, b.FirstSeq)
	}
	last := NoSequence
	if c, ok := p.last(); ok {
		last = c.lastSeq
	}
	if b.FirstSeq != nextSequence(last) {
		return fmt.Errorf("%w: producer %d sent %d, the last was %d", ErrOutOfOrderSequence, b.Producer, b.FirstSeq, last)
	}
	return nil
}

func nextSequence(last int32) int32 {
	if last == math.MaxInt32 {
		return 0
	}
	return last + 1
}

// CheckMarker decides about the end of a transaction without changing anything. The error matches
// ErrInvalidProducerEpoch or ErrCoordinatorFenced. A marker for a producer that is not known, or that has
// no transaction here, is in order: it only carries the epoch.
func (s *State) CheckMarker(m *Marker, origin Origin) error {
	p := s.lookup(m.Producer)
	if p == nil || origin == Replication {
		return nil
	}
	stale := m.Epoch < p.epoch
	if m.TV2 && m.Epoch == p.epoch {
		// The epoch must have been bumped for the marker, unless this marker is a retry of the one that
		// bumped it, or there is no epoch left to bump to.
		stale = p.txnFirst != model.NoOffset && m.Epoch != math.MaxInt16
	}
	switch {
	case stale:
		return fmt.Errorf("%w: marker of producer %d has epoch %d, the latest is %d", ErrInvalidProducerEpoch, m.Producer, m.Epoch, p.epoch)
	case m.CoordinatorEpoch < p.coordinator:
		return fmt.Errorf("%w: marker of producer %d has coordinator epoch %d, the latest is %d",
			ErrCoordinatorFenced, m.Producer, m.CoordinatorEpoch, p.coordinator)
	}
	return nil
}
