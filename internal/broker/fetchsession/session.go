package fetchsession

import (
	"container/list"
	"time"

	"chronik/internal/model"
)

// Key names a partition as its client does: by topic ID from Fetch version 13 on, by name before.
// The other field is empty.
type Key struct {
	Topic     string
	ID        model.TopicID
	Partition int32
}

// Partition is one partition of a fetch: what the client asked for last, and what it was told last.
type Partition struct {
	Key
	FetchOffset   model.Offset
	MaxBytes      int32 // bytes
	LeaderEpoch   model.LeaderEpoch
	LastEpoch     model.LeaderEpoch
	highWatermark model.Offset
	logStart      model.Offset
}

// Answer is what a response says of a partition, as far as it decides whether the client must hear it.
type Answer struct {
	HighWatermark model.Offset
	LogStart      model.Offset
	RecordBytes   int
	Failed        bool
	Redirected    bool // a diverging epoch or a preferred replica
}

// news tells whether the answer holds anything that the client does not know yet, and remembers it.
func (p *Partition) news(a Answer) bool {
	changed := a.RecordBytes > 0 || a.Redirected || a.Failed ||
		p.highWatermark != a.HighWatermark || p.logStart != a.LogStart
	p.highWatermark, p.logStart = a.HighWatermark, a.LogStart
	if a.Failed {
		p.highWatermark = model.NoOffset // so that the recovery is told even if nothing else moved
	}
	return changed
}

// session is an ordered set of partitions. The order is the order of service, rotated so that
// partitions which just returned records stand last and the byte limits starve nobody.
type session struct {
	id       int32
	epoch    int32 // the epoch that the next request must carry
	usesIDs  bool
	busy     bool
	created  time.Time
	lastUsed time.Time
	order    *list.List // of *Partition
	index    map[Key]*list.Element
}

func newSession(id int32, usesIDs bool, now time.Time) *session {
	return &session{id: id, epoch: 1, usesIDs: usesIDs, created: now, lastUsed: now,
		order: list.New(), index: make(map[Key]*list.Element)}
}

// upsert takes the client's newest wish for a partition.
func (s *session) upsert(p Partition) {
	if e, ok := s.index[p.Key]; ok {
		old := e.Value.(*Partition)
		p.highWatermark, p.logStart = old.highWatermark, old.logStart
		*old = p
		return
	}
	p.highWatermark, p.logStart = model.NoOffset, model.NoOffset
	s.index[p.Key] = s.order.PushBack(&p)
}

func (s *session) forget(k Key) {
	if e, ok := s.index[k]; ok {
		s.order.Remove(e)
		delete(s.index, k)
	}
}

func (s *session) serveLast(k Key) {
	if e, ok := s.index[k]; ok {
		s.order.MoveToBack(e)
	}
}
