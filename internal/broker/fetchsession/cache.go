package fetchsession

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// The refusals of KIP-227 and KIP-516. After the first two the client starts a new session by itself.
var (
	ErrSessionNotFound = errors.New("no such fetch session: it was evicted, or the broker restarted")
	ErrSessionEpoch    = errors.New("the fetch session expects another epoch")
	ErrSessionTopicID  = errors.New("a fetch session must use topic IDs always or never")
)

// NoSession is the session epoch of a full fetch that wants no session, as every fetch was before version 7.
const NoSession = -1

// The wire's two special session epochs.
const (
	epochInitial = 0
	epochFinal   = NoSession
)

// minEviction is how long a session must have been unused, or how old it must be for a larger one to
// take its place: Kafka's two minutes.
const minEviction = 2 * time.Minute

// Cache holds the sessions of all clients, at most Slots of them.
type Cache struct {
	slots int

	mu       sync.Mutex
	sessions map[int32]*session
}

// NewCache returns a cache with room for the given number of sessions (max.incremental.fetch.session.cache.slots).
func NewCache(slots int) *Cache {
	return &Cache{slots: slots, sessions: make(map[int32]*session)}
}

// Len is the number of live sessions.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// Request is the part of a Fetch request that sessions decide on.
type Request struct {
	SessionID, SessionEpoch int32
	UsesIDs                 bool
	Partitions              []Partition
	Forgotten               []Key
}

// Begin finds or makes the request's session. The Fetch that it returns must be ended by End.
func (c *Cache) Begin(req Request, now time.Time) (*Fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.SessionEpoch == epochInitial || req.SessionEpoch == epochFinal {
		return c.beginFull(req, now), nil
	}
	s, ok := c.sessions[req.SessionID]
	switch {
	case !ok:
		return nil, ErrSessionNotFound
	case s.epoch != req.SessionEpoch || s.busy:
		return nil, ErrSessionEpoch
	case s.usesIDs != req.UsesIDs:
		return nil, ErrSessionTopicID
	}
	for _, k := range req.Forgotten {
		s.forget(k)
	}
	for _, p := range req.Partitions {
		s.upsert(p)
	}
	s.busy, s.lastUsed, s.epoch = true, now, nextEpoch(s.epoch)
	return &Fetch{cache: c, session: s, incremental: true}, nil
}

// beginFull serves a request that names everything it wants. It replaces the session that it names; the
// initial epoch asks for a new one, which the cache grants if it has room.
func (c *Cache) beginFull(req Request, now time.Time) *Fetch {
	delete(c.sessions, req.SessionID)
	s := newSession(0, req.UsesIDs, now)
	if req.SessionEpoch == epochInitial && len(req.Partitions) > 0 && c.makeRoom(len(req.Partitions), now) {
		s.id = c.freeID()
		c.sessions[s.id] = s
	}
	for _, p := range req.Partitions {
		s.upsert(p)
	}
	s.busy = true
	return &Fetch{cache: c, session: s}
}

// makeRoom tells whether there is a slot, evicting a session that was unused for minEviction, or an old
// one that is smaller than the newcomer: large sessions save the most.
func (c *Cache) makeRoom(size int, now time.Time) bool {
	if len(c.sessions) < c.slots {
		return true
	}
	var victim *session
	for _, s := range c.sessions {
		if s.busy {
			continue
		}
		stale := now.Sub(s.lastUsed) >= minEviction
		outgrown := now.Sub(s.created) >= minEviction && s.order.Len() < size
		if (stale || outgrown) && (victim == nil || s.lastUsed.Before(victim.lastUsed)) {
			victim = s
		}
	}
	if victim == nil {
		return false
	}
	delete(c.sessions, victim.id)
	return true
}

// freeID draws IDs at random, so that a client of an earlier incarnation does not hit a stranger's session.
func (c *Cache) freeID() int32 {
	for {
		id := rand.Int32N(math.MaxInt32-1) + 1
		if _, taken := c.sessions[id]; !taken {
			return id
		}
	}
}

func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// Fetch is one request's use of its session.
type Fetch struct {
	cache       *Cache
	session     *session
	incremental bool
	returned    []Key
}

// SessionID is what the response carries: 0 if there is no session.
func (f *Fetch) SessionID() int32 { return f.session.id }

// Len is the number of partitions to serve.
func (f *Fetch) Len() int { return f.session.order.Len() }

// Partitions yields the partitions in the order in which to serve them.
func (f *Fetch) Partitions(yield func(*Partition) bool) {
	for e := f.session.order.Front(); e != nil; e = e.Next() {
		if !yield(e.Value.(*Partition)) {
			return
		}
	}
}

// Include tells whether the response must name the partition: always in a full fetch, in an incremental
// one if there is anything to tell.
func (f *Fetch) Include(p *Partition, a Answer) bool {
	news := p.news(a)
	if a.RecordBytes > 0 {
		f.returned = append(f.returned, p.Key)
	}
	return news || !f.incremental
}

// End gives the session back for the client's next request.
func (f *Fetch) End() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	for _, k := range f.returned {
		f.session.serveLast(k)
	}
	f.session.busy = false
}
