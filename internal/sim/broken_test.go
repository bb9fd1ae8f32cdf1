package sim

import (
	"strings"
	"testing"

	"chronik/internal/quorum"
)

// broken are rules that are broken on purpose. A simulator that finds nothing proves nothing: each must be found, and soon.
var broken = []struct {
	name  string
	plant func(*bugs)
}{
	{"R2 a diverged follower is not cut", func(b *bugs) { b.skipTruncation = true }},
	{"D1 the watermark is taken from the log ends", func(b *bugs) { b.watermarkFromEnd = true }},
	{"D1 a follower acknowledges before its sync", func(b *bugs) { b.ackBeforeSync = true }},
	{"R4 the eligible leader replicas are dropped", func(b *bugs) { b.dropELR = true }},
	{"R3 there is no maximal ISR", func(b *bugs) { b.noMaximalISR = true }},
	{"R1 an epoch is used again after a restart", func(b *bugs) { b.epochReuse = true }},
	{"T1 a retry is answered before its original is committed", func(b *bugs) { b.earlyDuplicate = true }},
	{"D5 an acknowledgement is bound to its offset only", func(b *bugs) { b.ackByOffset = true }},
	{"R3 no leader epoch is fenced", func(b *bugs) { b.noEpochFence = true }},
	{"L1 recovery syncs nothing", func(b *bugs) { b.noResync = true }},
	{"L3 a stale tail stays in the file", func(b *bugs) { b.staleTail = true }},
	{"M1 votes and acknowledgements leave before the sync", func(b *bugs) { b.quorum = quorum.Broken{SendBeforeSync: true} }},
	{"M1 a leader speaks in a term that its disk does not know", func(b *bugs) { b.quorum = quorum.Broken{SendBeforeTerm: true} }},
}

// TestBrokenIsFound breaks one rule after the other.
func TestBrokenIsFound(t *testing.T) {
	const most = 1000
	for _, b := range broken {
		t.Run(strings.ReplaceAll(b.name, " ", "_"), func(t *testing.T) {
			for seed := uint64(1); seed <= most; seed++ {
				w := run(t, seed, func(w *world) { b.plant(&w.bugs) })
				if w.failed == nil {
					continue
				}
				if right := run(t, seed, nil); right.failed != nil {
					t.Fatalf("seed %d fails without the bug, too: %v", seed, right.failed)
				}
				t.Logf("seed %d: %v", seed, w.failed)
				return
			}
			t.Errorf("%d schedules found nothing", most)
		})
	}
}
