package blackout

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"chronik/internal/vfs/crashfs"
)

const nodes = 3

// kind is what happens to a node.
type kind uint8

const (
	powerCut kind = iota
	cleanStop
	isolation
	kinds
)

func (k kind) String() string { return [...]string{"power cut", "stop", "isolation"}[k] }

// blow is what happens to one node in an event.
type blow struct {
	node int
	kind kind
	ops  int64 // on its disk until the power goes; cleanStop: during the stop, 0 for not
	mode crashfs.Mode
	down time.Duration // until it starts again or is reached again
	// again are the operations on its disk after which the power goes once more, while it starts or soon after; 0: it stays.
	again int64
}

func (b blow) String() string {
	text := fmt.Sprintf("node %d: %v", b.node, b.kind)
	if b.ops > 0 {
		text += fmt.Sprintf(" after %d operations, mode %d", b.ops, b.mode)
	}
	text += fmt.Sprintf(", back after %v", b.down)
	if b.again > 0 {
		text += fmt.Sprintf(", another cut %d operations later", b.again)
	}
	return text
}

// event is one blow, or several at the same time.
type event struct {
	after time.Duration // since all nodes were back
	blows []blow
}

type plan struct {
	seed   uint64
	events []event
}

func (p plan) String() string {
	var b strings.Builder
	for i, e := range p.events {
		fmt.Fprintf(&b, "\n  %d. after %v: ", i+1, e.after)
		for j, one := range e.blows {
			if j > 0 {
				b.WriteString("; ")
			}
			b.WriteString(one.String())
		}
	}
	return b.String()
}

// zombies is how long a node that led before may not know that it does not any more, and acknowledge with acks=1 what nobody will ever see: as
// long as it is cut off, and then until it hears of it.
func (p plan) zombies() time.Duration {
	d := time.Second
	for _, e := range p.events {
		for _, b := range e.blows {
			if b.kind == isolation {
				d = max(d, b.down+time.Second)
			}
		}
	}
	return d
}

func newPlan(seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, 0xb1ac0))
	p := plan{seed: seed}
	for range 2 + rng.IntN(3) {
		e := event{after: upTo(rng, 1500*time.Millisecond)}
		hit := rng.Perm(nodes)[:[...]int{1, 1, 1, 2, 3, 3}[rng.IntN(6)]]
		for _, node := range hit {
			e.blows = append(e.blows, newBlow(rng, node+1, len(hit) == 1))
		}
		p.events = append(p.events, e)
	}
	return p
}

// newBlow draws what happens to a node. Only a node that is hit alone stops in order or is cut off: several at a time lose their power.
func newBlow(rng *rand.Rand, node int, alone bool) blow {
	b := blow{node: node, down: upTo(rng, 3*time.Second)}
	if alone && rng.IntN(3) == 0 {
		b.kind = 1 + kind(rng.IntN(int(kinds)-1))
	}
	switch b.kind {
	case powerCut:
		b.ops = 1 + rng.Int64N(60)
	case cleanStop:
		b.ops = rng.Int64N(20)
	}
	if b.kind != isolation {
		b.mode = [...]crashfs.Mode{crashfs.Random, crashfs.Random, crashfs.Lose, crashfs.Keep}[rng.IntN(4)]
		if rng.IntN(3) == 0 {
			b.again = 1 + rng.Int64N(80)
		}
	}
	return b
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(d))).Round(time.Millisecond)
}
