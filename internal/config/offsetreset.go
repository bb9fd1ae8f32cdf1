package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// OffsetReset is where a share group begins to read a partition. The zero value is the latest offset.
type OffsetReset struct {
	Kind   ResetKind
	Before time.Duration // of ResetByDuration: how far back from now
}

// ResetKind is the kind of an OffsetReset.
type ResetKind uint8

// The kinds.
const (
	ResetLatest ResetKind = iota
	ResetEarliest
	ResetByDuration
)

// ParseOffsetReset reads share.auto.offset.reset: "latest", "earliest", or "by_duration:" and a duration of ISO 8601 in days
// and smaller units, which is not negative.
func ParseOffsetReset(s string) (OffsetReset, error) {
	switch s {
	case "latest":
		return OffsetReset{}, nil
	case "earliest":
		return OffsetReset{Kind: ResetEarliest}, nil
	}
	text, ok := strings.CutPrefix(s, "by_duration:")
	if !ok {
		return OffsetReset{}, fmt.Errorf("%q is neither latest nor earliest nor by_duration:<duration>", s)
	}
	d, ok := parseISODuration(text)
	if !ok || d < 0 {
		return OffsetReset{}, fmt.Errorf("%q is no duration that could be gone back: want PnDTnHnMn.nS", text)
	}
	return OffsetReset{Kind: ResetByDuration, Before: d}, nil
}

func offsetReset() Check {
	return Check{Text: "latest, earliest, by_duration:PnDTnHnMn.nS", reason: func(k *Key, v Value) (string, string) {
		if _, err := ParseOffsetReset(v.s); err != nil {
			return v.s, fmt.Sprintf("Invalid value `%s` for configuration %s. The value must be either 'earliest', 'latest' or of the format "+
				"'by_duration:<PnDTnHnMn.nS>'.", v.s, k.Name)
		}
		return "", ""
	}}
}

// isoDuration is what Java's Duration reads, in any case: a sign, and each number with its own.
var isoDuration = regexp.MustCompile(`(?i)^([-+]?)P(?:([-+]?[0-9]+)D)?(T(?:([-+]?[0-9]+)H)?(?:([-+]?[0-9]+)M)?(?:([-+]?[0-9]+)(?:[.,]([0-9]{0,9}))?S)?)?$`)

// parseISODuration reads a duration; one of more than 146 years counts as the longest that there is.
func parseISODuration(s string) (time.Duration, bool) {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || len(m[3]) == 1 { // nothing after the T
		return 0, false
	}
	var sum float64 // to find out what is too long
	var total time.Duration
	found := false
	for _, part := range []struct {
		text string
		unit time.Duration
	}{{m[2], 24 * time.Hour}, {m[4], time.Hour}, {m[5], time.Minute}, {m[6], time.Second}, {fraction9(m[6], m[7]), time.Nanosecond}} {
		if part.text == "" {
			continue
		}
		n, err := strconv.ParseInt(part.text, 10, 64)
		if err != nil {
			return 0, false
		}
		found = true
		sum += float64(n) * float64(part.unit)
		total += time.Duration(n) * part.unit
	}
	if !found {
		return 0, false
	}
	if math.Abs(sum) > math.MaxInt64/2 {
		total = math.MaxInt64
		if sum < 0 {
			total = -math.MaxInt64
		}
	}
	if m[1] == "-" {
		total = -total
	}
	return total, true
}

// fraction9 is a fraction of a second in nanoseconds, with the sign of the seconds.
func fraction9(seconds, digits string) string {
	if digits == "" {
		return ""
	}
	n := digits + strings.Repeat("0", 9-len(digits))
	if strings.HasPrefix(seconds, "-") {
		return "-" + n
	}
	return n
}
