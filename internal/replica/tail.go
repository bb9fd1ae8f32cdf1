package replica

import (
	"cmp"
	"slices"
	"sync/atomic"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
)

// tail is what was appended last to a log that others follow, still in memory: followers are sent it from here before it is
// durable, and mostly before it is written. It may lack anything at any time. What it lacks is read from the log once it is
// durable, so nothing but speed depends on it.
type tail struct {
	budget *tailBudget
	bytes  int64 // charged to the budget
	queue[recent]
}

// recent is one batch in memory, with a reference to its owner.
type recent struct {
	base, next model.Offset
	batch      record.Batch
	owner      *mem.Buf
	charge     int64
}

// tailBudget bounds what the tails of all partitions hold together.
type tailBudget struct {
	limit, each int64
	used        atomic.Int64
}

// tailOverhead is what an entry costs beside its bytes.
const tailOverhead = 64

// largestShare is how many times larger than its batch a frame may be that the tail keeps alive. A batch out of a request for
// many partitions is copied instead.
const largestShare = 4

// add keeps a batch that was appended where the tail ends. If there is no room, older ones go; if that is not enough, the tail is
// empty then.
func (t *tail) add(base, next model.Offset, b record.Batch, owner *mem.Buf) {
	if n := len(t.list); n > t.head && t.list[n-1].next > base {
		t.cut(base)
	}
	e := recent{base: base, next: next, batch: b, owner: owner, charge: int64(len(b)) + tailOverhead}
	if owner != nil {
		if frame := len(owner.Bytes()); frame > largestShare*len(b) {
			e.batch, e.owner = append(record.Batch(nil), b...), nil
		} else {
			e.charge = int64(frame) + tailOverhead
		}
	}
	for t.bytes > 0 && (t.bytes+e.charge > t.budget.each || t.budget.used.Load()+e.charge > t.budget.limit) {
		t.dropFirst()
	}
	if e.charge > t.budget.each || t.budget.used.Load()+e.charge > t.budget.limit {
		return
	}
	if e.owner != nil {
		e.owner.Retain()
	}
	t.bytes += e.charge
	t.budget.used.Add(e.charge)
	t.list = append(t.list, e)
}

// at finds the batch that begins at an offset; nil if it is not in memory.
func (t *tail) at(base model.Offset) *recent {
	live := t.list[t.head:]
	i, ok := slices.BinarySearchFunc(live, base, func(e recent, base model.Offset) int { return cmp.Compare(e.base, base) })
	if !ok {
		return nil
	}
	return &live[i]
}

// drop lets go of everything below an offset.
func (t *tail) drop(below model.Offset) {
	for t.head < len(t.list) && t.list[t.head].next <= below {
		t.dropFirst()
	}
}

func (t *tail) dropFirst() {
	t.release(&t.list[t.head])
	t.queue.dropFirst()
}

// cut lets go of everything at and above an offset: the log was cut there.
func (t *tail) cut(end model.Offset) {
	n := len(t.list)
	for n > t.head && t.list[n-1].next > end {
		n--
		t.release(&t.list[n])
	}
	t.list = t.list[:n]
}

// clear lets go of everything.
func (t *tail) clear() {
	for t.head < len(t.list) {
		t.dropFirst()
	}
	t.list = nil
}

func (t *tail) release(e *recent) {
	t.bytes -= e.charge
	t.budget.used.Add(-e.charge)
	if e.owner != nil {
		e.owner.Release()
	}
	*e = recent{}
}
