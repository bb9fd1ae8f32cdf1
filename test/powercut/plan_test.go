package powercut

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/vfs/crashfs"
)

// plan is what a seed decides before anything runs.
type plan struct {
	seed   uint64
	lives  []life
	window int // records that a producer leaves unanswered at most
	codec  kgo.CompressionCodec
	tick   time.Duration // of the logs' upkeep
	every  uint64        // metadata entries between two snapshots
	maxAge time.Duration // retention of the topic that has one
}

// ending is how a node's life ends.
type ending uint8

const (
	// powerCut loses what the crash mode takes.
	powerCut ending = iota
	// processDeath leaves the page cache as it is: synced or not, it all is still there, and a later power cut can
	// take it.
	processDeath
	// cleanStop stops the node in order, and cuts the power after it, or in its middle.
	cleanStop
)

// life is one run of the node.
type life struct {
	ops     int64 // changing disk operations until the end comes, counted from the start
	end     ending
	mode    crashfs.Mode  // of the power cut
	network bool          // the connections break at the same moment; else a node without a disk is still there
	stopOps int64         // cleanStop: operations from the begin of the stop to the cut; negative: the stop comes through
	latency time.Duration // of a sync of the disk; while it takes its time groups gather behind it
	failure int64         // the write or sync that fails before all that, counted from the start; 0: none
}

func newPlan(seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, 0x706c616e))
	p := plan{
		seed:   seed,
		window: 1 << rng.IntN(7),
		codec: []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
			kgo.Lz4Compression(), kgo.ZstdCompression()}[rng.IntN(5)],
		tick:   time.Duration(1+rng.IntN(30)) * time.Millisecond,
		every:  1 << (1 + rng.IntN(8)),
		maxAge: time.Duration(20+rng.IntN(400)) * time.Millisecond,
	}
	for range 2 + rng.IntN(5) {
		p.lives = append(p.lives, newLife(rng))
	}
	return p
}

func newLife(rng *rand.Rand) life {
	l := life{mode: []crashfs.Mode{crashfs.Random, crashfs.Random, crashfs.Lose, crashfs.Keep}[rng.IntN(4)], network: rng.IntN(2) == 0}
	switch rng.IntN(8) {
	case 0, 1:
		l.ops = 1 + rng.Int64N(30) // while it starts
	case 2, 3:
		l.ops = 1 + rng.Int64N(150) // while it opens its partitions, and soon after
	default:
		l.ops = 1 + rng.Int64N(1000)
	}
	switch rng.IntN(8) {
	case 0:
		l.end = processDeath
	case 1:
		l.end, l.stopOps = cleanStop, rng.Int64N(40)-8
	}
	l.latency = []time.Duration{0, 0, 100 * time.Microsecond, 500 * time.Microsecond}[rng.IntN(4)]
	if rng.IntN(5) == 0 {
		l.failure = 1 + rng.Int64N(l.ops)
		if rng.IntN(2) == 0 {
			l.end = processDeath // the next life finds in the page cache what the disk has not
		}
	}
	return l
}

func (p plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "window %d, codec %v, tick %v, metadata snapshot every %d, retention %v", p.window, p.codec, p.tick, p.every, p.maxAge)
	for i, l := range p.lives {
		fmt.Fprintf(&s, "\n  life %d: %v", i+1, l)
	}
	return s.String()
}

func (l life) String() string {
	s := fmt.Sprintf("power cut (%s)", []string{"random", "lose", "keep"}[l.mode])
	switch {
	case l.end == processDeath:
		s = "process death"
	case l.end == cleanStop && l.stopOps < 0:
		s = "clean stop"
	case l.end == cleanStop:
		s = fmt.Sprintf("stop, and %s %d operations into it", s, l.stopOps)
	}
	if l.network {
		s += " together with the network"
	}
	if l.latency > 0 {
		s += fmt.Sprintf(", syncs take %v", l.latency)
	}
	if l.failure > 0 {
		s += fmt.Sprintf(", and write or sync %d fails", l.failure)
	}
	return fmt.Sprintf("after %d operations: %s", l.ops, s)
}
