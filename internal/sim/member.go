package sim

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
)

// member is a consumer in a group. It gives up what it has when its session is over, as far as it can know: a session begins with what the
// coordinator decides, which is not before it was asked.
type member struct {
	asker
	protocol
	speaks  func() protocol // in each of its lives
	group   string
	member  string        // its ID
	epoch   int32         // of the member, or generation of the group
	joined  bool          // it knows of no reason to join again
	owns    []int32       // partitions of shopTopic
	until   time.Duration // of its session
	lapses  int           // of its sessions
	stopped bool
	trades  bool // the process commits in transactions (KIP-447)
	// A static member (KIP-345): another process may have taken its place. Then it is to end, and what it believes to have does not count.
	instance *string
	replaced bool
	// contested: another process of its instance was there when it came, which may be about to join, and take the place back.
	contested bool
	silent    time.Duration // until then its process does nothing for the group
	fenced    func()
}

// protocol is what members of classic groups do in another way than those of the new protocol (KIP-848).
type protocol interface {
	// next does what is to be done to become a member, or to stay one; then the member has its next turn.
	next(m *member)
	// leave is what is said then.
	leave(m *member) any
	// forget: the member begins anew.
	forget()
}

func (w *world) joinGroup(m *member) {
	w.groups.members = append(w.groups.members, m)
	w.whenOpen(m.turn)
}

// again has the member's next turn come.
func (m *member) again() {
	life := m.life
	m.w.after(m.w.between(groupBeat/2, groupBeat*3/2), func() {
		if life == m.life {
			m.turn()
		}
	})
}

func (m *member) turn() {
	if m.stopped {
		return
	}
	m.outlive()
	switch w := m.w; {
	case m.trades:
		m.stay()
	case !w.calm && w.one(40):
		m.crashSoon()
		m.next(m)
	case !w.calm && m.joined && w.one(50):
		m.say(func() any { m.own(nil); return m.leave(m) }, time.Second, func(time.Duration, *groupReply) { m.crash() })
	case len(m.owns) > 0 && w.one(4):
		m.save()
	case w.one(8):
		m.fetch(fetchOf(m.someOffset()), func(*group.FetchReply) { m.again() })
	default:
		m.next(m)
	}
}

// say asks the coordinator for something as a member. What it is told of a time before its session was over is as good as nothing: others may have
// been told otherwise since.
func (m *member) say(make func() any, patience time.Duration, done func(sent time.Duration, r *groupReply)) {
	lapses := 0
	m.ask(func() any {
		m.outlive()
		lapses = m.lapses
		return make()
	}, patience, func(sent time.Duration, r *groupReply) {
		if m.outlive(); lapses != m.lapses {
			r = nil
		}
		done(sent, r)
	})
}

// someOffset draws one that the member may ask for.
func (m *member) someOffset() offsetKey {
	if s := m.w.groups.savers[0]; m.w.one(2) && s.num == m.num { // of the same coordinator
		return s.key
	}
	return offsetKey{m.group, int32(m.w.rng.IntN(shopPartitions))}
}

// save commits an offset of a partition that the member has.
func (m *member) save() {
	k := offsetKey{m.group, m.owns[m.w.rng.IntN(len(m.owns))]}
	m.say(func() any { return m.w.commit(k, m.member, m.epoch) }, time.Second, func(time.Duration, *groupReply) { m.again() })
}

// crashSoon ends the member's process within its next turns. Another one takes its place.
func (m *member) crashSoon() {
	life := m.life
	m.w.after(m.w.between(0, time.Second), func() {
		if life == m.life && !m.stopped {
			m.crash()
		}
	})
}

func (m *member) crash() {
	m.life++
	m.number = 0
	m.hangUp()
	m.own(nil)
	m.member, m.epoch, m.joined = "", 0, false
	m.protocol = m.speaks()
	life := m.life
	m.w.after(m.w.between(0, 2*time.Second), func() {
		if life == m.life {
			m.turn()
		}
	})
}

// rejoin gives up everything: the member is to join again, under its ID or as another one.
func (m *member) rejoin(keepID bool) {
	m.own(nil)
	m.joined = false
	if !keepID {
		m.member = ""
	}
}

// outlive gives up everything when the member's session is over.
func (m *member) outlive() {
	if m.joined && m.w.now >= m.until {
		m.lapses++
		m.rejoin(true)
		m.epoch = 0
		m.forget()
	}
}

// extend notes that the coordinator has heard the member, not before it has said something.
func (m *member) extend(sent time.Duration) { m.until = max(m.until, sent+groupSession) }

// own is told what the member has from now on: nobody else has it (G2).
func (m *member) own(partitions []int32) {
	m.owns = partitions
	for _, o := range m.w.groups.members {
		if len(m.owns) == 0 || o == m || o.group != m.group || m.replaced || o.replaced || m.contested || o.contested {
			continue
		}
		o.outlive()
		for _, p := range m.owns {
			if slices.Contains(o.owns, p) {
				m.w.fail("G2", "%v (%s, epoch %d) has partition %d of %s, and so has %v (%s, epoch %d)", m.id, m.member, m.epoch, p, m.group, o.id, o.member, o.epoch)
			}
		}
	}
}

// missing says what healed groups lack; empty if nothing.
func (g *groups) missing(since time.Duration) string {
	has, all := make(map[offsetKey]bool), make(map[string]bool)
	for _, m := range g.members {
		all[m.group] = true
		m.outlive()
		if !m.joined {
			return fmt.Sprintf("%s lacks %v", m.group, m.id)
		}
		for _, p := range m.owns {
			has[offsetKey{m.group, p}] = true
		}
	}
	if len(has) < len(all)*shopPartitions {
		return "partitions of groups have no owner"
	}
	for _, s := range g.savers {
		if min(s.savedAt, s.answeredAt) < since {
			return fmt.Sprintf("%v has last committed an offset at %v, and fetched one at %v", s.id, s.savedAt, s.answeredAt)
		}
	}
	return ""
}

// stop ends all clients.
func (g *groups) stop() {
	for _, m := range g.members {
		m.stopped = true
	}
	for _, s := range g.savers {
		s.stopped = true
	}
}
