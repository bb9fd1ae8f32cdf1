package group

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

var seeds = flag.Int("group.seeds", 3000, "how many seeds TestG2 runs; the other histories take longer, and run fewer")

// history is a world in which the log refuses and coordinators fail over, with clients of a kind that come, go, crash and come back there: what histories
// of all kinds have in common.
type history struct {
	*world
	rand            *rand.Rand
	asked, answered int   // requests, and answers to them
	epoch           int32 // of the group when it was last looked at; 0: there was none
	quiet           bool  // no more faults
}

// newHistory begins one of a kind, by which their seeds differ.
func newHistory(t *testing.T, kind, seed uint64) *history {
	h := &history{world: newWorld(t), rand: rand.New(rand.NewPCG(seed, kind))}
	h.world.t = fatal{t, seed}
	return h
}

// play has a history happen, and looks at what has become of everybody: once the faults have ended all is well; who loads the log knows as much as
// who wrote it; and everybody was answered, once.
func play(seeds, steps int, begin func(seed uint64) (h *history, step, calm func())) {
	for seed := range seeds {
		h, step, calm := begin(uint64(seed))
		for range steps {
			h.out.Reset()
			step()
		}
		h.heal()
		calm()
		if diff := h.same(); diff != "" {
			h.fail("%s", diff)
		}
		if h.m.End(); h.asked != h.answered {
			h.fail("%d requests, %d answers", h.asked, h.answered)
		}
	}
}

// falter is what happens to the log and to the coordinator: nothing is settled for a while; all is; what is not settled is refused, or lost with the
// coordinator.
func (h *history) falter() {
	n := h.rand.IntN(10)
	h.hold = n < 3
	switch {
	case h.hold:
	case n < 6:
		h.settle()
	case n < 9:
		h.refuse()
	default:
		h.reload()
	}
}

// heal ends the faults.
func (h *history) heal() {
	h.hold, h.quiet = false, true
	h.settle()
}

// stands looks at the epochs of a group, which do not go back while it exists.
func (h *history) stands(exists bool, group, target int32) {
	switch {
	case !exists:
		h.epoch = 0
	case group < h.epoch || target > group:
		h.fail("the group's epoch goes from %d to %d, with a target of %d", h.epoch, group, target)
	default:
		h.epoch = group
	}
}

func (h *history) fail(format string, args ...any) {
	h.t.Fatal(fmt.Sprintf(format, args...) + "\n" + h.out.String() + dump(h.m, h.m))
}

// fatal names the seed.
type fatal struct {
	testing.TB
	seed uint64
}

func (f fatal) Fatal(args ...any) { f.TB.Fatalf("seed %d: %s", f.seed, fmt.Sprint(args...)) }
