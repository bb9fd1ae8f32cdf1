package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chronik/internal/coordinator/shard"
)

// Describe shows groups, in the order in which they are asked for.
func (m *Machine) Describe(groups []string, reply func([]Description, error)) shard.Result {
	d := m.decide(time.Time{})
	out := make([]Description, len(groups))
	for i, id := range groups {
		g := m.lookup(id)
		if g == nil {
			out[i] = Description{Group: id, State: Dead, Err: ErrGroupNotFound}
			continue
		}
		d.sees(g)
		if g.modern() != nil || g.isStreams() {
			out[i] = Description{Group: id, State: Dead, Err: fmt.Errorf("%w: it is not a classic group", ErrGroupNotFound)}
			continue
		}
		out[i] = m.view(g).describe(id)
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

func (c *classic) describe(id string) Description {
	out := Description{Group: id, State: c.state, ProtocolType: c.protocolType}
	if c.state == Stable {
		out.Protocol = c.protocol
	}
	for _, mem := range c.members {
		md := MemberDescription{Member: mem.id, Instance: mem.instance, ClientID: mem.clientID, ClientHost: mem.clientHost, Assignment: mem.assignment}
		if c.state == Stable {
			md.Metadata = mem.metadata(c.protocol)
		}
		out.Members = append(out.Members, md)
	}
	return out
}

// List shows the groups that pass the filters, sorted.
func (m *Machine) List(r ListRequest, reply func([]Listed, error)) shard.Result {
	d := m.decide(time.Time{})
	var out []Listed
	for _, id := range m.ids() {
		g := m.lookup(id)
		if g == nil {
			continue
		}
		l := m.listed(g)
		if !passes(r.States, l.State.String()) || !passes(r.Types, l.Type) {
			continue
		}
		d.sees(g)
		out = append(out, l)
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

func (m *Machine) listed(g *group) Listed {
	if g.isConsumer() {
		return Listed{Group: g.id, ProtocolType: consumerProtocol, State: g.consumer.state(), Type: consumerType}
	}
	if g.isShare() {
		return Listed{Group: g.id, ProtocolType: shareType, State: g.share.state(), Type: shareType}
	}
	if g.isStreams() {
		return Listed{Group: g.id, ProtocolType: streamsType, State: g.streams.state(), Type: streamsType}
	}
	c := m.view(g)
	return Listed{Group: g.id, ProtocolType: c.protocolType, State: c.state, Type: classicType}
}

// Types of groups.
const (
	classicType  = "classic"
	consumerType = "consumer"
	streamsType  = "streams" // also the protocol type of such groups
	shareType    = "share"   // also the protocol type of such groups
)

func passes(filter []string, s string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), s) })
}

// Delete deletes groups that have no members, with their offsets.
func (m *Machine) Delete(now time.Time, groups []string, reply func(DeleteReply)) shard.Result {
	d := m.decide(now)
	x := &deletion{left: 1}
	x.reply, x.out.Groups = reply, make([]error, len(groups))
	x.failed = func(err error) DeleteReply { return DeleteReply{Err: err, Groups: make([]error, len(groups))} }
	out, done := &x.out, make(map[string]bool)
	for i, id := range groups {
		g := m.lookup(id)
		if g == nil || done[id] {
			out.Groups[i] = ErrGroupNotFound
			continue
		}
		if d.mend(g); m.listed(g).State != Empty {
			out.Groups[i] = ErrNonEmptyGroup
			continue
		}
		if done[id] = true; g.isShare() {
			d.deleteShare(g, x, i)
			d.sees(g)
			continue
		}
		for _, tp := range g.allPartitions() {
			d.deleteOffset(g, tp)
		}
		d.deleteGroup(g)
		d.sees(g)
		g.forgetPending(d)
	}
	d.answer(func(err error) {
		if x.first(err); err == nil {
			x.next(0, nil)
		}
	})
	return d.done(nil)
}

// forgetPending: IDs that were given out for a group that is deleted are worth nothing.
func (g *group) forgetPending(d *decision) {
	if g.classic == nil {
		return
	}
	for _, id := range g.classic.pendingIDs() {
		g.classic.removePending(d, g, id)
	}
	d.m.tidy(g)
}
