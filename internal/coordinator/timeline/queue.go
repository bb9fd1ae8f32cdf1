package timeline

// queue is pending changes, oldest first. A change keeps its number for as long as it is in the queue.
type queue[T any] struct {
	items   []T
	first   int    // those before it were taken
	dropped uint64 // before items
}

// kept is the capacity that an empty queue holds on to.
const kept = 1024

func (q *queue[T]) len() int { return len(q.items) - q.first }

// next is the number that the next change will have.
func (q *queue[T]) next() uint64 { return q.dropped + uint64(len(q.items)) }

func (q *queue[T]) at(number uint64) *T { return &q.items[number-q.dropped] }

func (q *queue[T]) oldest() *T { return &q.items[q.first] }

func (q *queue[T]) newest() *T { return &q.items[len(q.items)-1] }

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }

// dropOldest takes the oldest change out. Room is made when half of the queue is taken.
func (q *queue[T]) dropOldest() {
	clear(q.items[q.first : q.first+1])
	if q.first++; q.first <= len(q.items)/2 {
		return
	}
	n := copy(q.items, q.items[q.first:])
	clear(q.items[n:])
	q.dropped += uint64(q.first)
	q.items, q.first = q.items[:n], 0
}

// dropNewest takes the newest change out.
func (q *queue[T]) dropNewest() {
	n := len(q.items) - 1
	clear(q.items[n:])
	q.items = q.items[:n]
}

// shrink lets go of the memory of an empty queue, if that is more than most changes.
func (q *queue[T]) shrink(most int) {
	if q.len() == 0 && cap(q.items) > most {
		q.dropped += uint64(len(q.items))
		q.items, q.first = nil, 0
	}
}
