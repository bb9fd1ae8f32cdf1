package sim

import "fmt"

// stats is what a run exercised.
type stats [numExercises]int

// exercise is something that a schedule should have met.
type exercise int

const (
	elections exercise = iota
	truncations
	tornCrashes
	isrShrinks
	isrExpands
	controllers
	memberships
	recreations
	reassignments
	cancellations
	retirements
	deletions
	followerReads
	linearReads
	relaxedTopics
	relaxedLosses
	replays
	inheritances
	growths
	wipes
	flips
	coordinatorLoads
	coordinatorMoves
	brokenRebalances
	refusedAppends
	txnCommits
	txnAborts
	txnTimeouts
	fencings
	openCrashes
	endingCrashes
	markersRepeated
	refusedVerifications
	voidVerifications
	abortedReads
	movedTxns
	refusedMembers
	unstableFetches
	upgrades
	downgrades
	orphaned
	beheaded
	numExercises
)

var exerciseNames = [numExercises]string{"election", "truncation", "torn crash", "ISR shrink", "ISR expand", "controller election", "quorum change",
	"topic made anew", "reassignment", "cancellation", "node replaced", "records deleted", "read from a follower", "linearizable read", "relaxed topic", "relaxed records lost", "journal replayed", "session inherited", "node alone grown", "disk wiped", "bit flipped",
	"coordinator loaded", "coordinator moved while somebody waited", "rebalance in progress at a crash", "coordinator's append refused",
	"transaction committed", "transaction aborted", "transaction timed out", "producer fenced", "transaction open at a crash of its coordinator", "transaction being ended at one",
	"marker repeated", "batch not of a transaction refused", "verification void", "aborted records read",
	"transaction open when its member lost the partition", "member's offset in a transaction refused", "offset unstable",
	"classic group made one of the new protocol", "and the other way round", "topic with an open transaction deleted", "records of an open transaction deleted"}

// summary adds up what many schedules exercised.
type summary struct {
	schedules, failed, events int
	in                        stats // in how many schedules at least once
}

func (s *summary) add(w *world) {
	s.schedules++
	s.events += w.ran
	if w.failed != nil {
		s.failed++
	}
	for i, n := range w.stats {
		if n > 0 {
			s.in[i]++
		}
	}
}

// String says in which share of the schedules each thing happened.
func (s *summary) String() string {
	text := fmt.Sprintf("%d schedules, %d events each on average, %d failed", s.schedules, s.events/max(s.schedules, 1), s.failed)
	for i, n := range s.in {
		text += fmt.Sprintf("; %s in %.1f %%", exerciseNames[i], 100*float64(n)/float64(max(s.schedules, 1)))
	}
	return text
}

// below lists what happened in less than so many percent of the schedules.
func (s *summary) below(percent int) (rare []string) {
	for i, n := range s.in {
		if 100*n < percent*s.schedules {
			rare = append(rare, exerciseNames[i])
		}
	}
	return rare
}
