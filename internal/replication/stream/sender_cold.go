package stream

import (
	"time"

	"chronik/internal/link"
)

// retryRead is the time after a read that failed.
const retryRead = time.Second

// readCold hands reads to the cold lane, as many as this link may have there.
func (s *Sender) readCold() {
	n := 0
	for n < len(s.wantCold) && s.cold < coldPerLink {
		s.cold++
		s.set.cold.submit(s.wantCold[n])
		n++
	}
	if n > 0 {
		rest := copy(s.wantCold, s.wantCold[n:])
		clear(s.wantCold[rest:])
		s.wantCold = s.wantCold[:rest]
	}
}

// coldDone takes what a read came to, from the goroutine that did it.
func (s *Sender) coldDone(r *coldRead) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		r.lane.found = r
	}
	s.mu.Unlock()
	if closed {
		r.drop()
		return
	}
	r.lane.wake()
}

// over tells whether the link has ended.
func (s *Sender) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// sendCold sends a quantum of what was read, if the read is done and it still belongs there. It is false as long as the read is not done, and if nothing
// was found and nobody has woken the lane since: the next Wake is for what it waits for.
func (s *Sender) sendCold(lane *Lane, out *link.Batch) (sent bool, err error) {
	s.mu.Lock()
	r := lane.found
	lane.found = nil
	s.mu.Unlock()
	if r == nil {
		return false, nil
	}
	if r.err == nil && r.number == lane.number && len(r.found.Bytes) > 0 {
		m, ok := lane.partition.Send(s.to, r.from, r.found, max(1, min(quantum, out.Room())))
		if ok {
			err = s.emit(out, &m, r.found.Owner)
			r.from, r.found.Bytes = m.End, r.found.Bytes[len(m.Bytes):]
			if err == nil && len(r.found.Bytes) > 0 && s.keep(lane, r) {
				return true, nil // it counts as a read of this link until all of it is sent
			}
		}
		s.coldSent(lane, r)
		return true, err // if it was not to be sent, Next knows what to do instead
	}
	s.coldSent(lane, r)
	switch {
	case r.number != lane.number:
		return true, nil // another subscription has begun
	case r.err != nil:
		time.AfterFunc(retryRead, lane.Wake)
		return false, nil
	}
	return r.wakes != lane.wakes.Load(), nil
}

// keep puts back what is left of a read, for the lane's next turn. It is false if the link has ended.
func (s *Sender) keep(lane *Lane, r *coldRead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		lane.found = r
	}
	return !s.closed
}

// coldSent ends a read: another one may take its place.
func (s *Sender) coldSent(lane *Lane, r *coldRead) {
	lane.reading = false
	s.cold--
	r.drop()
}
