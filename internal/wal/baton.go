package wal

// baton is the right to do one kind of I/O on a log: it is handed from goroutine to goroutine in the order
// of their asking. It is no lock: it is held across I/O and protects no memory. Its own fields are guarded
// by the log's mutex.
type baton struct {
	taken   bool
	waiting []chan struct{}
}

// tryTake takes a free baton.
func (b *baton) tryTake() bool {
	if b.taken {
		return false
	}
	b.taken = true
	return true
}

// line joins those who wait for a baton that is taken. Its channel is closed when the caller holds it.
func (b *baton) line() chan struct{} {
	ch := make(chan struct{})
	b.waiting = append(b.waiting, ch)
	return ch
}

// pass gives the baton to the next in line, and tells whether there was one. If not, the caller has it
// still.
func (b *baton) pass() bool {
	if len(b.waiting) == 0 {
		return false
	}
	ch := b.waiting[0]
	if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	close(ch)
	return true
}

// drop frees a baton that nobody waits for.
func (b *baton) drop() { b.taken = false }
