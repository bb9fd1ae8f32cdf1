package sim

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
)

// market is the group whose members read, process and write: their transactions commit how far they have read (KIP-447). They have fewer members than there
// are partitions, or as many, so that all come to something.
const market = "market"

// badge is who a member was when it had a partition. A process that has lost it since may not know, and goes on under it.
type badge struct {
	member   string
	epoch    int32
	instance *string
}

// openMarket starts the members.
func (w *world) openMarket(n int) {
	w.groups.names = append(w.groups.names, market)
	static := w.one(2)
	w.trades.speaks = w.protocolOf(w.rng.IntN(2), static)
	for i := range n {
		var instance *string
		if static {
			instance = new(fmt.Sprint("stand-", i))
		}
		w.openTill(market, instance)
	}
}

// enter makes the process a member.
func (t *trader) enter() {
	w := t.w
	m := &member{asker: w.groupAsker(t.id, market), group: market, protocol: w.trades.speaks(), trades: true, instance: t.till.instance, fenced: t.fenced}
	for _, o := range w.groups.members {
		if o.instance != nil && m.instance != nil && *o.instance == *m.instance {
			o.replaced, m.contested = true, true
		}
	}
	t.member = m
	w.groups.members = append(w.groups.members, m)
	m.turn()
}

// stay is a turn of a member whose process has other things to do: it goes on for all that it knows while nothing is heard of it.
func (m *member) stay() {
	switch w := m.w; {
	case w.now < m.silent && !w.calm:
		m.again()
	case m.replaced && !m.joined: // joining would fence who has come after it
		m.fenced()
	case !w.calm && m.joined && w.one(25):
		w.after(w.between(groupSession/2, 2*groupSession), m.turn)
	default:
		m.next(m)
	}
}

// quit ends the member with its process. It may say so.
func (m *member) quit() {
	m.hangUp()
	m.own(nil)
	m.stopped = true
	m.life++
	m.w.groups.members = slices.DeleteFunc(m.w.groups.members, func(o *member) bool { return o == m })
	if m.joined && m.instance == nil && m.w.one(3) {
		m.ask(func() any { return m.leave(m) }, time.Second, func(time.Duration, *groupReply) { m.hangUp() })
	}
}

// superfluous tells whether somebody else does what the process does.
func (t *trader) superfluous() bool {
	return !t.till.last(t) || t.member != nil && t.member.replaced
}

// read begins a transaction with what comes next of a partition that the member has, for all that it knows. What comes next is not known while a
// transaction is open that may change it.
func (t *trader) read() {
	w, m := t.w, t.member
	switch {
	case w.calm && t.superfluous():
		t.end()
		return
	case len(m.owns) == 0:
		t.again(t.start)
		return
	}
	b := &badge{m.member, m.epoch, m.instance}
	k := offsetKey{market, m.owns[w.rng.IntN(len(m.owns))]}
	q := fetchOf(k)
	q.Stable = true
	if _, ok := m.protocol.(*consumerProtocol); ok && w.one(2) {
		q.Member, q.Epoch = b.member, b.epoch
	}
	t.fetch(q, func(o *group.FetchReply) {
		switch {
		case o == nil || o.Err != nil:
			t.again(t.start)
		case o.Offsets[0].Err != nil:
			w.stats[unstableFetches]++
			t.again(t.start)
		default:
			t.deal = t.begin()
			t.deal.badge = b
			t.deal.moves(k, o.Offsets[0].Offset)
			t.carryOut()
		}
	})
}

// dawdle gives the group time to rebalance, now and then.
func (t *trader) dawdle() {
	switch w := t.w; {
	case t.member == nil || w.calm || w.one(3):
		t.proceed()
	case w.one(3):
		t.later(groupSession/2, t.till.timeout, t.proceed)
	default:
		t.later(0, t.till.timeout/2, t.proceed)
	}
}

// noteMoved counts transactions that are open when the member has their partition no more, or has it again.
func (t *trader) noteMoved() {
	if d, m := t.deal, t.member; d.badge != nil && (m.member != d.badge.member || m.epoch != d.badge.epoch || !slices.Contains(m.owns, d.deposit().key.partition)) {
		t.w.stats[movedTxns]++
	}
}

// moved is told that a transaction has moved an offset of a group. If it is a member's, it goes on where the one before has come to: nothing is read twice, and nothing
// left out (T3).
func (t *trades) moved(l *ledger, p *piece) {
	a := l.w.groups.account(p.key)
	if p.deal.badge == nil || p.offset == a.reached { // or it was committed twice
		return
	}
	if p.from != a.reached {
		l.w.fail("T3", "%s: a %v has read partition %d of %s from %d to %d; those before have come to %d", l.name, p.deal, p.key.partition, p.key.group, p.from, p.offset, a.reached)
	}
	a.reached = p.offset
}
