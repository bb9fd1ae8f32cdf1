package replica

import (
	"sync"

	"chronik/internal/model"
)

// removals are the partitions on their way out. Taking one out of the way waits for the disk: for the sync that
// its log is in, for a rename. A disk that hangs must not hold up whoever applies metadata (R8), so each goes
// on a goroutine of its own. What follows under the same name waits for it, be it the opening of a topic created
// again or its removal: the directory is theirs only then (L5).
type removals struct {
	mu    sync.Mutex
	going map[model.TopicPartition]chan struct{} // the latest of each name; closed when its directory is out of the way
	slots chan struct{}                          // bounds how many use the disk at once
	all   sync.WaitGroup
}

// parallelRemovals is few: deleting a topic of thousands of partitions must leave the disk to the others.
const parallelRemovals = 4

func newRemovals() removals {
	return removals{going: make(map[model.TopicPartition]chan struct{}), slots: make(chan struct{}, parallelRemovals)}
}

// before returns what must be over before a partition's directory may be used; nil: nothing.
func (m *removals) before(tp model.TopicPartition) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.going[tp]
}

// begin has a directory moved out of the way, after the one before it of the same name, and then its files
// removed. It returns at once.
func (m *removals) begin(tp model.TopicPartition, move, remove func()) {
	over := make(chan struct{})
	m.mu.Lock()
	earlier := m.going[tp]
	m.going[tp] = over
	m.mu.Unlock()
	m.all.Go(func() {
		if earlier != nil {
			<-earlier
		}
		m.slots <- struct{}{}
		move()
		m.mu.Lock()
		if m.going[tp] == over {
			delete(m.going, tp)
		}
		m.mu.Unlock()
		close(over)
		remove()
		<-m.slots
	})
}
