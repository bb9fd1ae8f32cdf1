package group

import (
	"encoding/binary"

	"chronik/internal/coordinator/schema"
)

// save writes the group as it is.
func (d *decision) save(g *group) {
	c := g.classic
	v := &schema.ClassicGroup{
		ProtocolType: c.protocolType, Generation: c.generation, Protocol: optional(c.protocol), Leader: optional(c.leader),
		CurrentStateTimestamp: c.sinceMs,
	}
	for _, mem := range c.members {
		v.Members = append(v.Members, schema.ClassicGroupMember{
			MemberID: mem.id, GroupInstanceID: mem.instance, ClientID: mem.clientID, ClientHost: mem.clientHost,
			RebalanceTimeout: mem.rebalanceMs, SessionTimeout: mem.sessionMs,
			Subscription: mem.metadata(c.protocol), Assignment: mem.assignment,
		})
	}
	d.record(&schema.GroupMetadata{Key: schema.GroupKey{Group: g.id}, Value: v})
}

// restore is the group that a record tells of. Of its members' protocols it has the chosen one only.
func restore(v *schema.ClassicGroup) *classic {
	c := newClassic()
	c.generation, c.protocolType, c.sinceMs = v.Generation, v.ProtocolType, v.CurrentStateTimestamp
	if v.Protocol != nil {
		c.protocol = *v.Protocol
	}
	if v.Leader != nil {
		c.leader = *v.Leader
	}
	for i := range v.Members {
		r := &v.Members[i]
		c.add(&member{
			id: r.MemberID, instance: r.GroupInstanceID, clientID: r.ClientID, clientHost: r.ClientHost,
			rebalanceMs: r.RebalanceTimeout, sessionMs: r.SessionTimeout,
			protocols: []Protocol{{c.protocol, r.Subscription}}, assignment: r.Assignment,
		})
	}
	if len(c.members) > 0 {
		c.state = Stable
	}
	c.subscribe()
	return c
}

// subscribe finds out what the members of a generation are subscribed to.
func (c *classic) subscribe() {
	if c.subscribed = nil; c.protocolType != consumerProtocol || len(c.members) > 0 && c.protocol == "" {
		return
	}
	all := make(map[string]bool)
	for _, mem := range c.members {
		if !subscription(mem.metadata(c.protocol), all) {
			return
		}
	}
	c.subscribed = all
}

// subscribes tells whether a member may have partitions of a topic. Consumers whose subscriptions cannot be read may have all.
func (c *classic) subscribes(topic string) bool {
	if c.subscribed == nil {
		return c.protocolType == consumerProtocol
	}
	return c.subscribed[topic]
}

// subscription adds the topics of what a consumer tells its leader. All versions begin as the first one does.
func subscription(b []byte, topics map[string]bool) bool {
	if len(b) < 6 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	for b = b[6:]; n > 0; n-- {
		if len(b) < 2 {
			return false
		}
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < size {
			return false
		}
		topics[string(b[:size])] = true
		b = b[size:]
	}
	return n == 0
}
