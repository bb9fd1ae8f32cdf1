package sharepartition

import (
	"time"

	"chronik/internal/model"
)

// Reset is share.auto.offset.reset: where a group begins whose partition has no start offset yet.
type Reset struct {
	Latest bool
	Ago    time.Duration // with the first record that is not older; zero: with the first or, if Latest, after the last
}

// Offsets is what a partition's log says of itself.
type Offsets interface {
	Earliest() (model.Offset, error)
	Latest() (model.Offset, error)                    // the high watermark
	At(timestampMs int64) (model.Offset, bool, error) // the first record that is not older; false: all are
}

// Resolve returns the offset at which a group begins.
func (r Reset) Resolve(now time.Time, log Offsets) (model.Offset, error) {
	switch {
	case r.Latest:
		return log.Latest()
	case r.Ago == 0:
		return log.Earliest()
	}
	off, ok, err := log.At(now.Add(-r.Ago).UnixMilli())
	if err == nil && !ok {
		return log.Latest()
	}
	return off, err
}
