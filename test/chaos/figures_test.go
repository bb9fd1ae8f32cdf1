package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// figures are measured times of one kind.
type figures struct {
	what string
	list []time.Duration
}

func (f *figures) add(d time.Duration) { f.list = append(f.list, d) }

func (f *figures) median() time.Duration {
	sorted := slices.Sorted(slices.Values(f.list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (f *figures) String() string {
	if len(f.list) == 0 {
		return f.what + ": never"
	}
	var all strings.Builder
	for _, d := range f.list {
		fmt.Fprintf(&all, " %d", d.Milliseconds())
	}
	return fmt.Sprintf("%s: %d times, median %d ms, max %d ms:%s", f.what, len(f.list), f.median().Milliseconds(), slices.Max(f.list).Milliseconds(), all.String())
}

// within fails the test if the median or one of the figures is too long. The median of a few says little; then it may be the maximum.
func (f *figures) within(t *testing.T, median, maximum time.Duration) {
	t.Helper()
	const few = 5
	if m := f.median(); m > median && len(f.list) >= few {
		t.Errorf("%s: the median is %v, it should be at most %v", f.what, m, median)
	}
	for _, d := range f.list {
		if d > maximum {
			t.Errorf("%s: %v is longer than %v", f.what, d, maximum)
		}
	}
}
