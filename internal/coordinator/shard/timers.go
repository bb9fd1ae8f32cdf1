package shard

import (
	"cmp"
	"container/heap"
	"time"
)

// timer is one that is set.
type timer struct {
	TimerChange
	index int
}

// timers is a heap by deadline and key.
type timers struct {
	heap  []*timer
	byKey map[TimerKey]*timer
}

func (q *timers) set(c TimerChange) {
	t := q.byKey[c.Key]
	switch {
	case t == nil && !c.At.IsZero():
		t = &timer{TimerChange: c}
		q.byKey[c.Key] = t
		heap.Push(q, t)
	case t == nil:
	case c.At.IsZero():
		delete(q.byKey, c.Key)
		heap.Remove(q, t.index)
	default:
		t.TimerChange = c
		heap.Fix(q, t.index)
	}
}

// due takes out the first one whose time has come.
func (q *timers) due(now time.Time) (TimerChange, bool) {
	if len(q.heap) == 0 || q.heap[0].At.After(now) {
		return TimerChange{}, false
	}
	t := heap.Pop(q).(*timer)
	delete(q.byKey, t.Key)
	return t.TimerChange, true
}

// Len implements heap.Interface, as do the others.
func (q *timers) Len() int { return len(q.heap) }

// Less orders by deadline, then by key.
func (q *timers) Less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	return cmp.Or(a.At.Compare(b.At), a.Key.Compare(b.Key)) < 0
}

// Swap keeps the indices.
func (q *timers) Swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = i, j
}

// Push is heap.Push's.
func (q *timers) Push(x any) {
	t := x.(*timer)
	t.index = len(q.heap)
	q.heap = append(q.heap, t)
}

// Pop is heap.Pop's.
func (q *timers) Pop() any {
	last := len(q.heap) - 1
	t := q.heap[last]
	q.heap[last] = nil
	q.heap = q.heap[:last]
	return t
}
