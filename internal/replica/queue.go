package replica

// queue is a list that is taken from at its front and holds on to little memory. Those who use it change the list behind head themselves.
type queue[T any] struct {
	list []T
	head int // what lies before was taken
}

// keptEntries is the capacity that an empty queue may hold on to, and how much of one is moved at a time.
const keptEntries = 256

// dropFirst takes the first entry out, of which there must be one.
func (q *queue[T]) dropFirst() {
	var none T
	q.list[q.head] = none // what it refers to goes now
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		if cap(q.list) > keptEntries {
			q.list = nil
		}
	} else if q.head >= keptEntries && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
}
