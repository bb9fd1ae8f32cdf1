package replica

import (
	"chronik/internal/model"
	"chronik/internal/wal"
)

// ReadRequest is a consumer's wish for one partition.
type ReadRequest struct {
	From        model.Offset
	MaxBytes    int               // the records may be more only if MinOne is set and the first batch alone is larger
	MinOne      bool              // return one batch even if it is larger than MaxBytes (KIP-74)
	Committed   bool              // isolation level read_committed
	LeaderEpoch model.LeaderEpoch // what the caller believes; NoEpoch: anything
	LastEpoch   model.LeaderEpoch // epoch of the last record that the caller holds; NoEpoch: not said
	Follower    bool              // the caller may be served by a follower (KIP-392)
}

// ReadResult is what a partition answers. Records must be released; it is nil where there are none.
type ReadResult struct {
	Records       *wal.Region
	HighWatermark model.Offset
	LastStable    model.Offset
	LogStart      model.Offset
	Aborted       []wal.AbortedTxn
	Diverging     *Divergence
}

// Divergence says where the caller's log and ours part (KIP-595): it must truncate to EndOffset.
type Divergence struct {
	Epoch     model.LeaderEpoch
	EndOffset model.Offset
}

// Read returns records from an offset on, below the high watermark, or below the last stable offset if
// only committed ones are wanted. The watermarks are set even when there is an error, as far as they are known.
func (r *Replica) Read(q ReadRequest) (ReadResult, error) {
	res := ReadResult{HighWatermark: model.NoOffset, LastStable: model.NoOffset, LogStart: model.NoOffset}
	role := r.lead.Load()
	follows := false
	if role == nil && q.Follower {
		role = r.following.Load()
		follows = role != nil
	}
	if err := r.believes(role, q.LeaderEpoch); err != nil {
		return res, err
	}
	l, err := r.Log()
	if err != nil {
		return res, err
	}
	// The watermark is loaded before the end, and the end only grows: a watermark above it cannot be seen.
	res.HighWatermark = r.HighWatermark()
	res.LastStable = l.LastStable(res.HighWatermark)
	res.LogStart = l.Start()
	if q.From < res.LogStart {
		return res, ErrOffsetOutOfRange // whatever the epochs say: there is nothing left to compare
	}
	if res.Diverging, err = diverges(l, q); err != nil || res.Diverging != nil {
		return res, err
	}
	if q.From > l.End() {
		if follows { // the leader may have it: nothing is wrong with the offset
			return res, ErrOffsetNotAvailable
		}
		if !role.certain() { // the next leader may have it
			return res, r.notLeader(ErrNotLeader)
		}
		return res, ErrOffsetOutOfRange
	}
	limit := res.HighWatermark
	if q.Committed {
		limit = res.LastStable
	}
	if q.From >= limit || (q.MaxBytes <= 0 && !q.MinOne) {
		return res, nil
	}
	res.Records, err = l.Read(q.From, limit, q.MaxBytes, q.MinOne)
	if err == nil && q.Committed {
		res.Aborted = l.AbortedIn(q.From, res.Records.Next())
	}
	return res, r.storage(err)
}

// diverges compares the caller's last record with our epochs (KIP-595). An epoch that we know nothing of leaves no
// place to go back to: such a caller must reset.
func diverges(l *wal.Log, q ReadRequest) (*Divergence, error) {
	if q.LastEpoch == model.NoEpoch {
		return nil, nil
	}
	epoch, end := l.EpochEnd(q.LastEpoch)
	switch {
	case epoch == model.NoEpoch || end == model.NoOffset:
		return nil, ErrOffsetOutOfRange
	case epoch < q.LastEpoch || end < q.From:
		return &Divergence{Epoch: epoch, EndOffset: end}, nil
	}
	return nil, nil
}
