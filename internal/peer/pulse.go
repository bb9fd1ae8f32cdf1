package peer

import (
	"errors"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// pulse decides when to register and when to send heartbeats, and knows whether the session holds (R6). It is pure: time is an argument. One call is
// under way at a time.
type pulse struct {
	interval, timeout time.Duration

	epoch   model.BrokerEpoch // NoBrokerEpoch: to be registered
	due     time.Time         // of the next call; zero: now
	calling bool
	began   time.Time // the call under way

	contact time.Time // when the newest heartbeat left that counts, of this registration
	alive   bool      // the owner was told that the session holds
	state   controller.HeartbeatReply
	wish    wish
	over    bool
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

// until is when the session ends, unless there is another contact before. The zero time: it has ended.
func (p *pulse) until() time.Time {
	if p.contact.IsZero() {
		return time.Time{}
	}
	return p.contact.Add(p.timeout)
}

// check notices that the session has ended.
func (p *pulse) check(now time.Time) []event {
	if !p.alive || now.Before(p.until()) {
		return nil
	}
	p.alive = false
	return []event{lost}
}

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
	reply.AsOf = 0 // no news
	switch goesOn := p.alive && now.Before(p.until()); {
	case !goesOn && !o.anew:
		p.due = time.Time{}
	case p.began.After(p.contact):
		p.contact = p.began
	}
	if holds := now.Before(p.until()); holds != p.alive {
		p.alive = holds
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
	p.contact, p.state = time.Time{}, controller.HeartbeatReply{}
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
		p.alive, p.contact, p.epoch = false, time.Time{}, model.NoBrokerEpoch
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
