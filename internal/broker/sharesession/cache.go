package sharesession

import (
	"cmp"
	"container/list"
	"errors"
	"math"
	"slices"
	"strings"
)

// What requests are refused with. Each is the Kafka error of that name.
var (
	ErrInvalidRequest = errors.New("a share session cannot begin with acknowledgements")                                   // INVALID_REQUEST
	ErrNotFound       = errors.New("no such share session: it ended, or the broker restarted")                             // SHARE_SESSION_NOT_FOUND
	ErrEpoch          = errors.New("the share session expects another epoch")                                              // INVALID_SHARE_SESSION_EPOCH
	ErrLimit          = errors.New("the broker has group.share.max.share.sessions share sessions: try again, or raise it") // SHARE_SESSION_LIMIT_REACHED
)

// The wire's special epochs.
const (
	initial = 0
	final   = -1
)

// Key is whose session it is.
type Key struct{ Group, Member string }

func (k Key) compare(o Key) int {
	return cmp.Or(strings.Compare(k.Group, o.Group), strings.Compare(k.Member, o.Member))
}

// Connection is a client's connection, by any number that no other one has.
type Connection uint64

// Cache is the sessions of all members.
type Cache struct {
	most     func() int
	sessions map[Key]*session
	by       map[Connection]map[Key]bool
	members  map[string]int // sessions by group
}

// NewCache returns a cache for as many sessions as most says at the time (group.share.max.share.sessions).
func NewCache(most func() int) *Cache {
	return &Cache{most: most, sessions: make(map[Key]*session), by: make(map[Connection]map[Key]bool), members: make(map[string]int)}
}

// Len is how many sessions there are.
func (c *Cache) Len() int { return len(c.sessions) }

// Request is what sessions need of a ShareFetch.
type Request struct {
	Key          Key
	Epoch        int32
	Connection   Connection
	Add, Forget  []Partition
	Acknowledges bool // it carries acknowledgements
}

// Fetch finds or begins the session of a ShareFetch.
func (c *Cache) Fetch(r Request) (*Fetch, error) {
	if r.Epoch == initial {
		return c.begin(r)
	}
	s, err := c.next(r.Key, r.Epoch)
	if err != nil {
		return nil, err
	}
	f := &Fetch{cache: c, session: s, epoch: s.epoch}
	if r.Epoch == final {
		f.Final = true
		return f, nil
	}
	for _, p := range r.Add {
		s.add(p, true)
	}
	for _, p := range r.Forget {
		s.forget(p)
	}
	f.Partitions = s.list()
	return f, nil
}

// begin begins a session in place of the one that the member had. What that has acquired stays acquired: the member may go on with it.
func (c *Cache) begin(r Request) (*Fetch, error) {
	if r.Acknowledges {
		return nil, ErrInvalidRequest
	}
	c.remove(r.Key)
	if len(c.sessions) >= c.most() {
		return nil, ErrLimit
	}
	s := &session{key: r.Key, connection: r.Connection, epoch: 1, order: list.New(), parts: make(map[Partition]*list.Element)}
	for _, p := range r.Add {
		s.add(p, false)
	}
	c.sessions[r.Key] = s
	c.members[r.Key.Group]++
	if c.by[r.Connection] == nil {
		c.by[r.Connection] = make(map[Key]bool)
	}
	c.by[r.Connection][r.Key] = true
	return &Fetch{cache: c, session: s, epoch: 1, Full: true, Partitions: s.list()}, nil
}

// next moves a session on, unless the request ends it.
func (c *Cache) next(k Key, epoch int32) (*session, error) {
	s := c.sessions[k]
	switch {
	case s == nil:
		return nil, ErrNotFound
	case epoch == final:
		return s, nil
	case epoch != s.epoch:
		return nil, ErrEpoch
	case s.epoch == math.MaxInt32:
		s.epoch = 1
	default:
		s.epoch++
	}
	return s, nil
}

// Acknowledge finds the session of a ShareAcknowledge, and tells whether it is the session's last request: Release is to follow when
// the acknowledgements are done.
func (c *Cache) Acknowledge(k Key, epoch int32) (last bool, err error) {
	if epoch == initial {
		return false, ErrEpoch
	}
	_, err = c.next(k, epoch)
	return err == nil && epoch == final, err
}

// Released is a session that has ended: what the member has acquired of its partitions is to be released.
type Released struct {
	Key        Key
	Partitions []Partition
	LastOf     bool // it was the last one of its group: what the broker keeps of the group's partitions is of no use
}

// Release ends a session; false: there is none.
func (c *Cache) Release(k Key) (Released, bool) {
	s := c.remove(k)
	if s == nil {
		return Released{}, false
	}
	return Released{k, s.list(), c.members[k.Group] == 0}, true
}

// Disconnect ends the sessions that live by a connection.
func (c *Cache) Disconnect(conn Connection) []Released {
	var out []Released
	keys := make([]Key, 0, len(c.by[conn]))
	for k := range c.by[conn] {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, Key.compare)
	for _, k := range keys {
		if r, ok := c.Release(k); ok {
			out = append(out, r)
		}
	}
	return out
}

func (c *Cache) remove(k Key) *session {
	s := c.sessions[k]
	if s == nil {
		return nil
	}
	delete(c.sessions, k)
	if c.members[k.Group]--; c.members[k.Group] == 0 {
		delete(c.members, k.Group)
	}
	if delete(c.by[s.connection], k); len(c.by[s.connection]) == 0 {
		delete(c.by, s.connection)
	}
	return s
}
