package peer

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// pulse decides when to register and when to send heartbeats, and knows whether the session holds (R6). It is pure: time is an argument. One call is
// under way at a time.
//
// A session holds while an active controller was heard of within its time, and what was decided longer ago than that is known here. So whoever has one
// knows of all elections but the newest: those that took its own leadership away because it was gone, because the session ended before; and
// those that were for other reasons at the latest when the session's time is over, which is sooner than anybody is taken out of an ISR for lagging.
type pulse struct {
	interval, timeout time.Duration

	epoch   model.BrokerEpoch // NoBrokerEpoch: to be registered
	due     time.Time         // of the next call; zero: now
	calling bool
	began   time.Time // the call under way

	contact time.Time // when the newest heartbeat left that counts, of this registration
	told    []told    // of what was decided and is not known here, oldest first
	alive   bool      // the owner was told that the session holds
	state   controller.HeartbeatReply
	wish    wish
	over    bool
}

// told is a controller's word of what is decided: metadata up to an index, when the heartbeat left that it answers.
type told struct {
	at    time.Time
	index uint64
}

// wish is how far this broker wants to be out of service.
type wish uint8

const (
	toServe    wish = iota
	toHandOver      // lead nothing
	toLeave         // be fenced
)

// order is a call to make.
type order struct {
	register bool
	epoch    model.BrokerEpoch
	wish     wish
	// anew: there is no session. An answer begins one only if the broker knows the metadata that it speaks of: it may have been fenced, and others lead.
	// As long as one answer comes within the session that the one before gave, no controller can have taken this broker for gone.
	anew bool
}

// event is something that the owner is told.
type event uint8

const (
	registered event = iota + 1 // there is a new epoch
	back                        // the session holds
	lost                        // it does not any more
	changed                     // the controller takes the broker for something else than before
	mayStop                     // it leads nothing that another one could
	left                        // it is fenced as it wished, and done
	removed                     // the cluster does not know it any more
	refused                     // the controller will not have it; it is tried again
)

func newPulse(interval, timeout time.Duration) pulse {
	return pulse{interval: interval, timeout: timeout, epoch: model.NoBrokerEpoch}
}

// until is when the session ends, unless more is heard or known before. The zero time: it has ended.
func (p *pulse) until() time.Time {
	switch {
	case p.contact.IsZero():
		return time.Time{}
	case len(p.told) > 0 && p.told[0].at.Before(p.contact):
		return p.told[0].at.Add(p.timeout)
	}
	return p.contact.Add(p.timeout)
}

// check takes how far the metadata are applied, and notices that the session has ended.
func (p *pulse) check(now time.Time, applied uint64) []event {
	if !p.alive {
		return nil
	}
	if !now.Before(p.until()) {
		p.end()
		return []event{lost}
	}
	p.told = slices.DeleteFunc(p.told, func(t told) bool { return t.index <= applied })
	return nil
}

// end ends the session.
func (p *pulse) end() { p.alive, p.contact, p.told = false, time.Time{}, nil }

// next is the call to make now, if there is one.
func (p *pulse) next(now time.Time) (order, bool) {
	if p.over || p.calling || now.Before(p.due) {
		return order{}, false
	}
	p.calling, p.began = true, now
	p.due = now.Add(p.interval)
	return order{register: p.epoch == model.NoBrokerEpoch, epoch: p.epoch, wish: p.wish, anew: !p.alive}, true
}

// wake is when to look again; the zero time: not before something else has happened.
func (p *pulse) wake() (at time.Time) {
	if !p.over && !p.calling {
		at = p.due
	}
	if end := p.until(); p.alive && (at.IsZero() || end.Before(at)) {
		at = end
	}
	return at
}

// want changes the wish. It takes effect with the next heartbeat, which is due at once.
func (p *pulse) want(w wish) {
	if w > p.wish {
		p.wish, p.due = w, time.Time{}
	}
}

// answered takes a heartbeat's answer; if it was to begin a session, the metadata of reply.AsOf are known here. What counts is when the heartbeat left: the
// controller's clock for this broker began no earlier.
func (p *pulse) answered(now time.Time, o order, reply controller.HeartbeatReply) (out []event) {
	p.calling = false
	switch {
	case o.anew:
		p.contact = p.began
	case p.alive && now.Before(p.until()):
		p.contact = p.began
		if n := len(p.told); n == 0 || reply.AsOf > p.told[n-1].index {
			p.told = append(p.told, told{p.began, reply.AsOf})
		}
	default:
		p.due = time.Time{}
	}
	reply.AsOf = 0 // no news for the owner
	if holds := now.Before(p.until()); holds != p.alive {
		if p.alive = holds; !holds {
			p.end()
		}
		out = append(out, map[bool]event{true: back, false: lost}[holds])
	}
	if reply != p.state {
		p.state = reply
		out = append(out, changed)
	}
	switch {
	case o.wish == toLeave:
		p.over = true
		out = append(out, left)
	case o.wish == toHandOver && reply.MayStop:
		out = append(out, mayStop)
	}
	return out
}

// enrolled takes a registration's answer. The first heartbeat follows at once.
func (p *pulse) enrolled(epoch model.BrokerEpoch) []event {
	p.calling, p.epoch, p.due = false, epoch, time.Time{}
	p.end()
	p.state = controller.HeartbeatReply{}
	return []event{registered}
}

// failed takes what was wrong with a call.
func (p *pulse) failed(o order, err error) (out []event) {
	p.calling = false
	var refusal *controller.Refusal
	if !errors.As(err, &refusal) {
		return nil // nobody was reached, or nobody knows; the session's time tells
	}
	switch {
	case o.register:
		return []event{refused}
	case refusal.Reason == controller.StaleBrokerEpoch, refusal.Reason == controller.UnknownBroker:
		if p.alive {
			out = append(out, lost) // another registration is in force, or none: this one is over
		}
		p.end()
		p.epoch = model.NoBrokerEpoch
	default:
		return []event{refused}
	}
	if refusal.Reason == controller.UnknownBroker { // it was unregistered, and must not come back of itself
		p.over = true
		out = append(out, removed)
	}
	p.due = time.Time{}
	return out
}
