package replica

import (
	"chronik/internal/model"
	"chronik/internal/wal"
)

// The timestamps of ListOffsets that stand for a place in the log instead of a time.
const (
	TimestampLatest        = -1
	TimestampEarliest      = -2
	TimestampMax           = -3 // the record with the largest timestamp (KIP-734)
	TimestampEarliestLocal = -4 // the first offset on local disks (KIP-405)
	TimestampLatestTiered  = -5 // the last offset in remote storage (KIP-1005)
	TimestampPendingUpload = -6 // the first offset not yet in remote storage (KIP-1023)
)

// Position answers ListOffsets: an offset, the timestamp of its record and the leader epoch that wrote it.
// Offset and Timestamp are -1 where nothing matches.
type Position struct {
	Offset    model.Offset
	Timestamp int64 // milliseconds since 1970
	Epoch     model.LeaderEpoch
}

var nowhere = Position{Offset: model.NoOffset, Timestamp: -1, Epoch: model.NoEpoch}

// Find looks an offset up by timestamp, or by one of the special values. Nothing at or above the high
// watermark, for committed readers the last stable offset, is ever found.
func (r *Replica) Find(timestamp int64, committed bool, believed model.LeaderEpoch) (Position, error) {
	l, epoch, err := r.leader(believed)
	if err != nil {
		return nowhere, err
	}
	settled := r.settled()
	limit := r.HighWatermark()
	if committed {
		limit = l.LastStable(limit)
	}
	switch timestamp {
	case TimestampLatest:
		if !settled {
			return nowhere, ErrOffsetNotAvailable
		}
		return Position{Offset: limit, Timestamp: -1, Epoch: epoch}, nil
	case TimestampEarliest, TimestampEarliestLocal:
		start := l.Start()
		return Position{Offset: start, Timestamp: -1, Epoch: l.EpochAt(start)}, nil
	case TimestampLatestTiered, TimestampPendingUpload:
		return nowhere, nil // no remote storage holds anything of this partition
	case TimestampMax:
		if !settled {
			return nowhere, ErrOffsetNotAvailable
		}
		found, err := l.MaxTimestamp(limit)
		return position(l, found, r.storage(err))
	}
	found, err := l.LookupTime(timestamp, limit)
	if err == nil && found.Offset == model.NoOffset && !settled { // what is looked for may lie above the watermark
		return nowhere, ErrOffsetNotAvailable
	}
	return position(l, found, r.storage(err))
}

// settled tells whether the watermark is one that clients have not seen higher: a new leader does not know it at once (R5, KIP-207), and
// after an old one there may be another.
func (r *Replica) settled() bool {
	lead := r.lead.Load()
	return lead == nil || lead.member == nil || lead.settled.Load() && lead.certain()
}

func position(l *wal.Log, at wal.TimestampOffset, err error) (Position, error) {
	if err != nil || at.Offset == model.NoOffset {
		return nowhere, err
	}
	return Position{Offset: at.Offset, Timestamp: at.Timestamp, Epoch: l.EpochAt(at.Offset)}, nil
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch not above the one asked for, and where it ends
// (KIP-101, KIP-279).
func (r *Replica) EpochEnd(epoch, believed model.LeaderEpoch) (model.LeaderEpoch, model.Offset, error) {
	l, _, err := r.leader(believed)
	if err != nil {
		return model.NoEpoch, model.NoOffset, err
	}
	e, end := l.EpochEnd(epoch)
	return e, end, nil
}
