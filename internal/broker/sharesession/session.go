package sharesession

import (
	"container/list"

	"chronik/internal/model"
)

// Partition is what a member fetches.
type Partition struct {
	TopicID   model.TopicID
	Partition int32
}

// session is what one member fetches, the longest unserved partition first.
type session struct {
	key        Key
	connection Connection
	epoch      int32 // of the next request
	order      *list.List
	parts      map[Partition]*list.Element
}

// part is a partition in a session.
type part struct {
	Partition
	news bool // the next answer names it, whatever is in it: it is new, or the last answer was an error
}

// add puts a partition into the session, or leaves it there.
func (s *session) add(p Partition, news bool) {
	if s.parts[p] == nil {
		s.parts[p] = s.order.PushBack(&part{p, news})
	}
}

func (s *session) forget(p Partition) {
	if e := s.parts[p]; e != nil {
		s.order.Remove(e)
		delete(s.parts, p)
	}
}

func (s *session) list() []Partition {
	out := make([]Partition, 0, s.order.Len())
	for e := s.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*part).Partition)
	}
	return out
}

// Fetch is one ShareFetch's use of its session.
type Fetch struct {
	cache   *Cache
	session *session
	epoch   int32

	Full       bool        // the answer names all partitions
	Final      bool        // nothing is fetched; Release is to follow when its acknowledgements are done
	Partitions []Partition // to be served, in this order
}

// Current tells whether the session is where the request has left it. If it is not, another request has come meanwhile, and this one is
// answered with ErrEpoch.
func (f *Fetch) Current() error {
	if f.Final || f.cache.sessions[f.session.key] == f.session && f.session.epoch == f.epoch {
		return nil
	}
	return ErrEpoch
}

// Include tells whether the answer has to name a partition: all of them in a full fetch, else if there are records or an error, or
// were an error last time. It is to be called once for each.
func (f *Fetch) Include(p Partition, records, failed bool) bool {
	e := f.session.parts[p]
	if e == nil { // forgotten meanwhile
		return records || failed || f.Full
	}
	x := e.Value.(*part)
	include := f.Full || records || failed || x.news
	x.news = failed
	if records {
		f.session.order.MoveToBack(e)
	}
	return include
}
