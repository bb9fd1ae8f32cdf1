package history

import (
	"cmp"
	"slices"
	"time"
)

const (
	// Resolution is the shortest time between two acknowledgements of a partition that is kept as a gap.
	Resolution = 10 * time.Millisecond
	maxGaps    = 10_000 // of one partition, the last ones
	mostGaps   = 10     // of one partition, the longest ones
)

// Gap is a time in which no write to a partition was acknowledged, from the acknowledgement before it, or the first
// invocation, to the one after it.
type Gap struct {
	Partition int32         `json:"partition"`
	From      time.Duration `json:"from_ns"` // since the history began
	To        time.Duration `json:"to_ns"`
	Open      bool          `json:"open,omitempty"` // no acknowledgement came after it; To is when that was asked
}

// Length is how long it lasted.
func (g Gap) Length() time.Duration { return g.To - g.From }

// gaps is those of one partition. Gap is told of the last maxGaps, the verdict of the longest.
type gaps struct {
	last    time.Duration // acknowledgement, or the first invocation
	any     bool          // something was sent
	list    []Gap
	longest []Gap
}

// begin is the first invocation: what comes before the first acknowledgement is a gap too.
func (g *gaps) begin(at time.Duration) {
	if !g.any {
		g.last, g.any = at, true
	}
}

func (g *gaps) ack(number int32, at time.Duration) {
	if at-g.last >= Resolution {
		gap := Gap{Partition: number, From: g.last, To: at}
		if len(g.list) == maxGaps {
			g.list = slices.Delete(g.list, 0, maxGaps/2)
		}
		g.list = append(g.list, gap)
		if n := len(g.longest); n < mostGaps || gap.Length() > g.longest[n-1].Length() {
			g.longest = append(g.longest[:min(n, mostGaps-1)], gap)
			slices.SortFunc(g.longest, func(a, b Gap) int { return cmp.Or(-cmp.Compare(a.Length(), b.Length()), cmp.Compare(a.From, b.From)) })
		}
	}
	g.last = at
}

// Gap returns the longest gap of a partition that overlaps the time from since to since+within; zero length if there was none of Resolution. A
// reply that is already on its way when a leader dies would else end the gap that is meant. now is the time at which it is asked; last is the
// latest acknowledgement, or the first invocation. It is false if nothing was sent there yet.
func (c *Checker) Gap(number int32, since, within, now time.Duration) (gap Gap, last time.Duration, ok bool) {
	g := c.gaps[number]
	if g == nil || !g.any {
		return Gap{}, 0, false
	}
	best := Gap{Partition: number, From: since, To: since}
	if open := (Gap{Partition: number, From: g.last, To: now, Open: true}); g.last <= since+within && now-g.last >= Resolution {
		best = open
	}
	for i := len(g.list) - 1; i >= 0 && g.list[i].To > since; i-- {
		if g.list[i].From <= since+within && (g.list[i].Length() > best.Length()) {
			best = g.list[i]
		}
	}
	return best, g.last, true
}
