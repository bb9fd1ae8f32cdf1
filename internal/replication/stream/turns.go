package stream

import "sync"

// turns is who stands in line for a link's writer. It belongs to the writer. Others add to a list under a mutex, which the writer exchanges for the one it has
// served: taking a turn mostly needs no lock.
type turns[T any] struct {
	serving []*T // taken from the list, and not served yet
	next    int  // the first of them
}

// pop takes whose turn it is; nil if nobody waits.
func (t *turns[T]) pop(mu *sync.Mutex, list *[]*T) *T {
	if t.empty() {
		mu.Lock()
		t.serving, *list = *list, t.serving[:0]
		mu.Unlock()
		t.next = 0
		if t.empty() {
			return nil
		}
	}
	one := t.serving[t.next]
	t.serving[t.next] = nil
	t.next++
	return one
}

// empty tells whether all that were taken have been served.
func (t *turns[T]) empty() bool { return t.next == len(t.serving) }

// rest is who was taken and has not been served.
func (t *turns[T]) rest() []*T { return t.serving[t.next:] }
