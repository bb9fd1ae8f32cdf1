package producer

import "chronik/internal/model"

// Remembers tells whether the batch of a producer that ends at an offset is among those by which its retries are found: without it
// in the log, the state could not be rebuilt from there (T1).
func (s *State) Remembers(id model.ProducerID, last model.Offset) bool {
	p := s.lookup(id)
	if p == nil {
		return false
	}
	for i := range int(p.count) {
		if p.at(i).lastOffset == last {
			return true
		}
	}
	return false
}

// Knows tells whether the state has anything of a producer.
func (s *State) Knows(id model.ProducerID) bool { return s.lookup(id) != nil }
