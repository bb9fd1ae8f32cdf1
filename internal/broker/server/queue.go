package server

import "sync"

// queue is a connection's FIFO of slots: pushed by its reader, completed by anyone, taken and written in order by
// the holder of the right to write. There is one right; it is free, with the writer goroutine, or with the reader for
// one batch.
type queue struct {
	mu   sync.Mutex
	ring []*Slot // its length is a power of two
	head uint64  // the oldest slot not taken
	next uint64  // where the next one goes

	unwritten      int // slots pushed whose reply is not written, and
	unwrittenBytes int // the size of their requests

	writing bool          // somebody holds the right to write
	inline  *Slot         // its handler runs in the reader, which looks after the queue itself when that returns
	waiting bool          // the reader waits for progress
	moved   chan struct{} // one token: progress since waiting was set
}

func newQueue() queue { return queue{ring: make([]*Slot, 8), moved: make(chan struct{}, 1)} }

// completion tells the completer of a slot what follows from it.
type completion uint8

const (
	completedQueued completion = iota // somebody else will write it
	completedHead                     // the caller now holds the right to write
	completedStray                    // the slot was abandoned; nothing was done
	completedTwice                    // the slot was not open; nothing was done
)

// push appends a slot. alone tells that no other is waiting for its reply to be written.
func (q *queue) push(s *Slot) (seq uint64, alone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next-q.head == uint64(len(q.ring)) {
		q.growLocked()
	}
	seq = q.next
	*q.atLocked(seq) = s
	q.next++
	s.state = slotOpen
	q.unwritten++
	q.unwrittenBytes += s.bytes
	q.inline = s
	return seq, q.unwritten == 1
}

func (q *queue) atLocked(seq uint64) **Slot { return &q.ring[seq&uint64(len(q.ring)-1)] }

func (q *queue) growLocked() {
	old := q.ring
	q.ring = make([]*Slot, 2*len(old))
	for seq := q.head; seq != q.next; seq++ {
		*q.atLocked(seq) = old[seq&uint64(len(old)-1)]
	}
}

func (q *queue) complete(s *Slot, r reply) completion {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case s.stray:
		return completedStray
	case s.state != slotOpen:
		return completedTwice
	}
	s.reply = r
	s.state = slotDone
	if q.writing || q.inline == s || *q.atLocked(q.head) != s {
		return completedQueued
	}
	q.writing = true
	return completedHead
}

// handled notes that the handler of the latest slot has returned.
func (q *queue) handled() {
	q.mu.Lock()
	q.inline = nil
	q.mu.Unlock()
}

// detach lets a slot whose handler has not returned be written by others.
func (q *queue) detach(s *Slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inline == s {
		q.inline = nil
	}
}

// abandon completes slot seq, whose handler panicked, if that has not been done.
func (q *queue) abandon(seq uint64, reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if seq < q.head {
		return
	}
	s := *q.atLocked(seq)
	s.stray = true
	if s.state == slotOpen {
		s.reply = reply{reason: reason}
		s.state = slotDone
	}
}

// tryWrite takes the right to write if it is free and there is something to write.
func (q *queue) tryWrite() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.writing || !q.readyLocked() {
		return false
	}
	q.writing = true
	return true
}

func (q *queue) readyLocked() bool {
	return q.head != q.next && (*q.atLocked(q.head)).state == slotDone
}

// take appends the completed prefix to batch, as far as its capacity goes. The caller holds the right to write; if there is
// nothing to take, that ends.
func (q *queue) take(batch []*Slot) []*Slot {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(batch) < cap(batch) && q.readyLocked() {
		p := q.atLocked(q.head)
		batch = append(batch, *p)
		*p = nil
		q.head++
	}
	if len(batch) == 0 {
		q.writing = false
	}
	q.notifyLocked()
	return batch
}

// written notes that n taken slots with requests of so many bytes are done with. more tells whether there is something
// to write again; if not, the right to write ends.
func (q *queue) written(n, bytes int) (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unwritten -= n
	q.unwrittenBytes -= bytes
	q.writing = q.readyLocked()
	q.notifyLocked()
	return q.writing
}

// notifyLocked wakes a waiting reader. The channel has room for the one token that is due, so this does not block.
func (q *queue) notifyLocked() {
	if q.waiting {
		q.waiting = false
		q.moved <- struct{}{}
	}
}

// await blocks the reader until ok, called under the lock, is true.
func (q *queue) await(ok func(*queue) bool) {
	for {
		q.mu.Lock()
		if ok(q) {
			q.mu.Unlock()
			return
		}
		q.waiting = true
		q.mu.Unlock()
		<-q.moved
	}
}

// drained, for await: nothing is left and nobody writes.
func drained(q *queue) bool { return q.head == q.next && !q.writing }

// idle tells whether the connection owes no reply.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.unwritten == 0
}

// satisfied tells whether ok holds now.
func (q *queue) satisfied(ok func(*queue) bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ok(q)
}

// handling tells whether a handler runs in the reader.
func (q *queue) handling() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inline != nil
}
