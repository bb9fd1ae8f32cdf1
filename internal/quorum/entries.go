package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// OlderEntries reads entries that the member keeps in memory no longer. What it returns is durable.
type OlderEntries interface {
	// ReadEntries returns entries from index lo up to hi, which is exclusive: at least one, and then as many as have
	// maxBytes of data.
	ReadEntries(lo, hi, maxBytes uint64) ([]*pb.Entry, error)
	// EntryTerm is the term of one entry.
	EntryTerm(index uint64) (uint64, error)
}

// cacheBytes bounds the data of the entries in memory. It is as much as most logs hold between two snapshots.
const cacheBytes = 8 << 20

// entryOverhead is what an entry counts beside its data.
const entryOverhead = 64

// entries is what is durable of the log, as Raft sees it: entry first up to last, the newest of them in memory.
type entries struct {
	first     uint64 // the first that can be read
	firstTerm uint64 // of the entry before that, to match followers' logs with
	last      uint64
	lastTerm  uint64
	recent    []*pb.Entry // up to last
	bytes     int         // of recent
	limit     int         // of bytes
	older     OlderEntries
}

// append puts durable entries behind those that are there, in the place of those with the same indexes.
func (s *entries) append(es []*pb.Entry) error {
	for _, e := range es {
		index := e.GetIndex()
		if index > s.last+1 || index < s.first {
			return fmt.Errorf("entry %d cannot follow %d, the log holds %d to %d", index, index-1, s.first, s.last)
		}
		for len(s.recent) > 0 && s.recent[len(s.recent)-1].GetIndex() >= index {
			s.bytes -= size(s.recent[len(s.recent)-1])
			s.recent = s.recent[:len(s.recent)-1]
		}
		s.recent = append(s.recent, e)
		s.bytes += size(e)
		s.last, s.lastTerm = index, e.GetTerm()
	}
	s.evict()
	return nil
}

func size(e *pb.Entry) int { return len(e.Data) + entryOverhead }

func (s *entries) evict() {
	n := 0
	for s.bytes > s.limit && n < len(s.recent)-1 {
		s.bytes -= size(s.recent[n])
		n++
	}
	s.drop(n)
}

// drop forgets the oldest entries in memory. They go to a new array now and then, so that the memory is given back.
func (s *entries) drop(n int) {
	clear(s.recent[:n])
	s.recent = s.recent[n:]
	if cap(s.recent) > 64 && cap(s.recent) > 4*len(s.recent) {
		s.recent = append(make([]*pb.Entry, 0, 2*len(s.recent)), s.recent...)
	}
}

// cached is the index of the first entry in memory.
func (s *entries) cached() uint64 { return s.last + 1 - uint64(len(s.recent)) }

// compact has the log begin behind an index.
func (s *entries) compact(index, term uint64) {
	if index < s.first {
		return
	}
	s.first, s.firstTerm = index+1, term
	for len(s.recent) > 0 && s.recent[0].GetIndex() <= index {
		s.bytes -= size(s.recent[0])
		s.drop(1)
	}
}

// restart empties the log and has it begin behind a snapshot.
func (s *entries) restart(index, term uint64) {
	*s = entries{first: index + 1, firstTerm: term, last: index, lastTerm: term, limit: s.limit, older: s.older}
}

// term is that of one entry, or of the one before the first.
func (s *entries) term(index uint64) (uint64, error) {
	switch {
	case index+1 < s.first:
		return 0, raft.ErrCompacted
	case index > s.last:
		return 0, raft.ErrUnavailable
	case index+1 == s.first:
		return s.firstTerm, nil
	case index == s.last:
		return s.lastTerm, nil
	case index >= s.cached():
		return s.recent[index-s.cached()].GetTerm(), nil
	}
	return s.older.EntryTerm(index)
}

// read is raft.Storage's Entries.
func (s *entries) read(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	switch {
	case lo < s.first:
		return nil, raft.ErrCompacted
	case hi > s.last+1:
		return nil, raft.ErrUnavailable
	case lo < s.cached():
		return s.older.ReadEntries(lo, min(hi, s.cached()), maxBytes)
	}
	var out []*pb.Entry
	total := uint64(0)
	for _, e := range s.recent[lo-s.cached() : hi-s.cached()] {
		if total += uint64(size(e)); total > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out, nil
}
