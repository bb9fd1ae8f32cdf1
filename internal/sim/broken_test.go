package sim

import (
	"strings"
	"testing"

	"chronik/internal/quorum"
)

// broken are rules that are broken on purpose. A simulator that finds nothing proves nothing: each must be found, and soon.
var broken = []struct {
	name  string
	seed  uint64 // of a schedule that finds it
	plant func(*bugs)
	needs func(*world) // what the rule is about, nil: nothing special
}{
	{"R2 a diverged follower is not cut", 3, func(b *bugs) { b.skipTruncation = true }, nil},
	{"D1 the watermark is taken from the log ends", 2, func(b *bugs) { b.watermarkFromEnd = true }, nil},
	{"D1 a follower acknowledges before its sync", 1, func(b *bugs) { b.ackBeforeSync = true }, nil},
	{"R4 the eligible leader replicas are dropped", 10, func(b *bugs) { b.dropELR = true }, nil},
	{"R3 there is no maximal ISR", 6, func(b *bugs) { b.noMaximalISR = true }, nil},
	{"R1 an epoch is used again after a restart", 2, func(b *bugs) { b.epochReuse = true }, nil},
	{"T1 a retry is answered before its original is committed", 1, func(b *bugs) { b.earlyDuplicate = true }, nil},
	{"D5 an acknowledgement is bound to its offset only", 18, func(b *bugs) { b.ackByOffset = true }, func(w *world) { w.lagging = true }},
	{"R3 no leader epoch is fenced", 115, func(b *bugs) { b.noEpochFence = true }, nil},
	{"L1 recovery syncs nothing", 30, func(b *bugs) { b.noResync = true }, nil},
	{"L3 a stale tail stays in the file", 11, func(b *bugs) { b.staleTail = true }, nil},
	{"M1 votes and acknowledgements leave before the sync", 204, func(b *bugs) { b.quorum = quorum.Broken{SendBeforeSync: true} }, nil},
	{"M1 a leader speaks in a term that its disk does not know", 278, func(b *bugs) { b.quorum = quorum.Broken{SendBeforeTerm: true} }, nil},
	{"D2 a node that lost its page cache claims a clean stop", 1, func(b *bugs) { b.claimsClean = true }, func(w *world) { w.loose = true }},
	{"L1 the journal is not replayed", 3, func(b *bugs) { b.forgetsJournal = true }, func(w *world) { w.share = true }},
	{"R6 a session begins anew before the node knows what was decided without it", 352, func(b *bugs) { b.blindSession = true }, func(w *world) { w.grouped = true }},
	{"G1 a coordinator answers before its records are committed", 2, func(b *bugs) { b.earlyAnswer = true }, func(w *world) { w.grouped = true }},
	{"G3 a coordinator goes on in whatever epoch its replica leads", 22, func(b *bugs) { b.noSeatEpoch = true }, func(w *world) { w.grouped, w.transacted = true, true }},
	{"G3 a coordinator loads before all of its log is safe", 2, func(b *bugs) { b.loadsEarly = true }, func(w *world) { w.grouped = true }},
	{"G2 a group that changes its protocol forgets what its members have", 17, func(b *bugs) { b.forgetsOwners = true }, func(w *world) { w.grouped, w.groups.migrating = true, true }},
	{"T3 markers are sent before it is safe that the transaction ends", 2, func(b *bugs) { b.earlyMarkers = true }, func(w *world) { w.transacted = true }},
	{"T3 a leader appends what a fenced producer sends", 2, func(b *bugs) { b.fencedProduce = true }, func(w *world) { w.transacted = true }},
	{"T3 nobody asks whether a partition is of a transaction", 4, func(b *bugs) { b.unverified = true }, func(w *world) { w.transacted = true }},
	{"T3 a marker does not void what was asked before it", 29, func(b *bugs) { b.neverVoid = true }, func(w *world) { w.transacted = true }},
	{"T2 open transactions do not hold the last stable offset", 1, func(b *bugs) { b.openIsStable = true }, func(w *world) { w.transacted = true }},
	{"T3 a transaction is complete when one of its markers is written", 2, func(b *bugs) { b.hastyComplete = true }, func(w *world) { w.transacted = true }},
	{"T3 who is no member any more commits an offset in a transaction", 86, func(b *bugs) { b.zombieCommits = true }, func(w *world) { w.transacted, w.trades.market = true, true }},
	{"T3 an offset that an open transaction will change is told", 7, func(b *bugs) { b.ignoresPending = true }, func(w *world) { w.transacted, w.trades.market = true, true }},
	{"T4 a coordinator does not hear of topics that are deleted", 53, func(b *bugs) { b.deafToDeletions = true }, func(w *world) { w.transacted, w.trades.restocks = true, true }},
	{"T4 a coordinator that has loaded forgets when transactions time out", 2, func(b *bugs) { b.forgetsTimers = true }, func(w *world) { w.transacted = true }},
}

// TestBrokenIsFound breaks one rule after the other. The seed that is known to find it comes first; where the schedules have changed since, others are
// tried. Found is a rule by which records would be lost or parted, not that the cluster stands still; and the same schedule must hold
// without the bug.
func TestBrokenIsFound(t *testing.T) {
	const most = 1000
	for _, b := range broken {
		t.Run(strings.ReplaceAll(b.name, " ", "_"), func(t *testing.T) {
			plain := func(w *world) {
				if w.plain = true; b.needs != nil {
					b.needs(w)
				}
			}
			for n := range uint64(most + 1) {
				seed := n
				if n == 0 {
					seed = b.seed
				}
				w := run(t, seed, func(w *world) { plain(w); b.plant(&w.bugs) })
				if w.failed == nil || w.failed.name == "progress" || w.failed.name == "end" {
					continue
				}
				if right := run(t, seed, plain); right.failed != nil {
					t.Fatalf("seed %d fails without the bug, too: %v", seed, right.failed)
				}
				t.Logf("seed %d: %v", seed, w.failed)
				return
			}
			t.Errorf("%d schedules found nothing", most)
		})
	}
}
