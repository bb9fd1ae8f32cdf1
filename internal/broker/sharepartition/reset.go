package sharepartition

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"chronik/internal/model"
)

// Reset is share.auto.offset.reset: where a group begins whose partition has no start offset yet.
type Reset struct {
	Latest bool
	Ago    time.Duration // with the first record that is not older; zero: with the first or, if Latest, after the last
}

// ParseReset reads earliest, latest or by_duration: with an ISO 8601 duration, as PnDTnHnMn.nS.
func ParseReset(s string) (Reset, error) {
	kind, duration, ok := strings.Cut(s, ":")
	switch {
	case !ok && strings.EqualFold(kind, "earliest"):
		return Reset{}, nil
	case !ok && strings.EqualFold(kind, "latest"):
		return Reset{Latest: true}, nil
	case ok && strings.EqualFold(kind, "by_duration"):
		d, err := parseDuration(duration)
		if err == nil && d >= 0 {
			return Reset{Ago: d, Latest: d == 0}, nil
		}
	}
	return Reset{}, fmt.Errorf("share.auto.offset.reset is %q: use earliest, latest or by_duration:PnDTnHnMn.nS, for example by_duration:P1DT12H", s)
}

// parseDuration reads PnDTnHnMn.nS. A day has 24 hours; only seconds have fractions.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, ok := strings.CutPrefix(strings.ToUpper(s), "P")
	days, clock, hasClock := strings.Cut(rest, "T")
	if !ok || rest == "" || hasClock && clock == "" {
		return 0, bad
	}
	total := 0.0
	for _, part := range []struct{ text, units string }{{days, "D"}, {clock, "HMS"}} {
		for units := part.units; part.text != ""; {
			i := strings.IndexAny(part.text, "DHMS")
			if i < 1 {
				return 0, bad
			}
			n, err := strconv.ParseFloat(part.text[:i], 64)
			at := strings.IndexByte(units, part.text[i])
			if err != nil || at < 0 || strings.ContainsAny(part.text[:i], "EXN_") || part.text[i] != 'S' && n != float64(int64(n)) {
				return 0, bad
			}
			total += n * map[byte]float64{'D': 86400, 'H': 3600, 'M': 60, 'S': 1}[part.text[i]]
			units, part.text = units[at+1:], part.text[i+1:]
		}
	}
	if total > (1 << 33) {
		return 0, bad
	}
	return time.Duration(total * float64(time.Second)), nil
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
