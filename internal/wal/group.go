package wal

import (
	"sync"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
)

// Waiter is told what became of an append. Done is called exactly once for every append that Append
// accepted with a waiter: with nil once the append is durable (with relaxed flushing: written), else with
// what failed. Calls come in offset order and with no lock held, possibly before Append has returned. It
// must not block.
type Waiter interface{ Done(err error) }

// group is the unit of commit: batches that reach the disk with one write and one sync. It lies within one
// segment. Groups come from a pool, so that an idle log holds none.
type group struct {
	bufs    [][]byte // the batches, in offset order
	entries []entry  // beside bufs
	bytes   int64
	records int64
	pos     int64 // in the segment's file
	base    model.Offset
	end     model.Offset
	roll    bool   // it begins a new segment
	first   bool   // with roll: the log begins with it
	gaps    bool   // the segment may miss offsets
	seal    *mark  //  with roll: the state up to base, the last mark of the segment before
	floor   []byte // with roll: the new segment's floor, if one is due
	stats   stats  // of the segment with the group, once that is written
	before  plan   // of the core, to go back to if the group fails
	mark    *mark  // a mark that goes to disk with the group
	relaxed bool   // it is complete when it is written (D1)
	unclean bool   // it takes the clean flag back, and must be synced for that also where flushing is relaxed
	next    *group
}

type entry struct {
	owner  *mem.Buf
	waiter Waiter
}

// maxGroupBytes bounds a group, so that one sync does not hold up everybody. A single batch may be larger.
const maxGroupBytes = 8 << 20

// keptEntries is the capacity up to which a group's slices are worth keeping.
const keptEntries = 4096

var groups = sync.Pool{New: func() any { return new(group) }}

func newGroup() *group { return groups.Get().(*group) }

// recycle gives a group back. Its buffers must have been released and its waiters told.
func (g *group) recycle() {
	clear(g.bufs)
	clear(g.entries)
	bufs, entries := g.bufs[:0], g.entries[:0]
	if cap(bufs) > keptEntries {
		bufs, entries = nil, nil
	}
	*g = group{bufs: bufs, entries: entries}
	groups.Put(g)
}

func (g *group) add(b record.Batch, owner *mem.Buf, w Waiter) {
	if owner != nil {
		owner.Retain()
	}
	g.bufs = append(g.bufs, b)
	g.entries = append(g.entries, entry{owner, w})
	g.bytes += int64(len(b))
}

// release lets go of the batches' memory, once they are written or given up.
func (g *group) release() {
	for i := range g.entries {
		if o := g.entries[i].owner; o != nil {
			g.entries[i].owner = nil
			o.Release()
		}
		g.bufs[i] = nil
	}
}

// finish tells the waiters, in offset order. No lock may be held.
func (g *group) finish(err error) {
	for i := range g.entries {
		if w := g.entries[i].waiter; w != nil {
			w.Done(err)
		}
	}
}
