package sharing

import (
	"errors"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/coordinator/share"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// errUnused ends a share partition that no member fetches from. Who has found it meanwhile finds or loads another.
var errUnused = errors.New("the share partition is not in use any more")

// What is asked of a coordinator is asked again after a pause that doubles, beyond what State does itself.
const (
	firstPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
)

// final tells of an answer that asking again does not change.
func final(err error) bool {
	for _, e := range []error{
		share.ErrFencedLeaderEpoch, share.ErrFencedStateEpoch, share.ErrUninitialized, share.ErrUnknownPartition, share.ErrInvalid,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// load reads the state from its coordinator.
func (l *led) load() {
	l.s.o.State.Read(l.key, int32(l.epoch), func(state share.State, err error) {
		l.tell(func(now time.Time) { l.loaded(now, state, err) })
	})
}

// loaded takes the state, and finds out where the group begins if it has not begun.
func (l *led) loaded(now time.Time, state share.State, err error) {
	c := l.s.o.Config(l.key.Group)
	earliest, start := model.NoOffset, model.NoOffset
	if err == nil {
		earliest, err = logOffsets{l}.Earliest()
	}
	if err == nil && state.Start == model.NoOffset {
		start, err = c.Reset.Resolve(now, logOffsets{l})
	}
	switch {
	case l.over() != nil:
	case err == nil:
		l.p, err = sharepartition.New(c.Config, int32(l.epoch), state, start)
		if err != nil {
			l.s.o.Log.Error("a share partition cannot be served; have the group's offsets altered", "share_partition", l.key.Coordinated(), "error", err)
			l.end(err)
			return
		}
		l.p.LogStart(earliest)
		l.failures, l.hold = 0, time.Time{}
		l.stirred, l.full = true, true
	case final(err) || errors.Is(err, replica.ErrNotLeader) || errors.Is(err, replica.ErrFencedEpoch) || errors.Is(err, replica.ErrStorage):
		l.end(err)
	default:
		l.failed(now)
		l.armed = l.hold
		l.s.alarm.Set(l, l.hold)
	}
}

// failed has the next question to the coordinator wait.
func (l *led) failed(now time.Time) {
	l.hold = now.Add(min(firstPause<<min(l.failures, 20), mostPause))
	l.failures++
}

// write sends what is to be written.
func (l *led) write(now time.Time) {
	if l.sent || l.hold.After(now) {
		return
	}
	w, ok := l.p.NextWrite()
	if !ok {
		return
	}
	l.sent = true
	l.s.o.State.Write(l.key, w, func(err error) {
		l.tell(func(now time.Time) { l.written(now, err) })
	})
}

// written takes the answer to a write.
func (l *led) written(now time.Time, err error) {
	l.sent, l.stirred = false, true
	if err == nil {
		l.failures, l.hold = 0, time.Time{}
	} else if !final(err) {
		l.failed(now)
	}
	l.p.Written(now, err)
}

// logOffsets is where the partition's log begins and ends.
type logOffsets struct{ l *led }

// Earliest implements sharepartition.Offsets.
func (o logOffsets) Earliest() (model.Offset, error) { return o.find(replica.TimestampEarliest) }

// Latest implements sharepartition.Offsets.
func (o logOffsets) Latest() (model.Offset, error) { return o.find(replica.TimestampLatest) }

// At implements sharepartition.Offsets.
func (o logOffsets) At(timestampMs int64) (model.Offset, bool, error) {
	off, err := o.find(timestampMs)
	return off, off != model.NoOffset, err
}

func (o logOffsets) find(timestamp int64) (model.Offset, error) {
	at, err := o.l.replica.Find(timestamp, false, o.l.epoch)
	return at.Offset, err
}
