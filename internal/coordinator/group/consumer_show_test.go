package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
)

// showConsumer is a record of a group of the new protocol.
func showConsumer(r schema.Record) string {
	switch r := r.(type) {
	case *schema.ConsumerGroupEpoch:
		if r.Value != nil {
			return fmt.Sprintf("%s epoch=%d", r.Key.Group, r.Value.Epoch)
		}
		return r.Key.Group + " epoch deleted"
	case *schema.ConsumerGroupTargetEpoch:
		if r.Value != nil {
			return fmt.Sprintf("%s target epoch=%d", r.Key.Group, r.Value.AssignmentEpoch)
		}
		return r.Key.Group + " target epoch deleted"
	case *schema.ConsumerGroupMemberMetadata:
		if r.Value != nil {
			return fmt.Sprintf("%s member %s %s", r.Key.Group, r.Key.Member, showMember(r.Value))
		}
		return fmt.Sprintf("%s member %s deleted", r.Key.Group, r.Key.Member)
	case *schema.ConsumerGroupTargetAssignment:
		if r.Value != nil {
			return fmt.Sprintf("%s target %s %s", r.Key.Group, r.Key.Member, showPartitions(fromTarget(r.Value)))
		}
		return fmt.Sprintf("%s target %s deleted", r.Key.Group, r.Key.Member)
	case *schema.ConsumerGroupCurrentAssignment:
		if r.Value != nil {
			return fmt.Sprintf("%s current %s %s", r.Key.Group, r.Key.Member, showCurrent(fromCurrent(r.Value)))
		}
		return fmt.Sprintf("%s current %s deleted", r.Key.Group, r.Key.Member)
	case *schema.ConsumerGroupRegularExpression:
		if r.Value != nil {
			return fmt.Sprintf("%s pattern %s = %s", r.Key.Group, r.Key.Pattern, strings.Join(r.Value.Topics, ","))
		}
		return fmt.Sprintf("%s pattern %s deleted", r.Key.Group, r.Key.Pattern)
	}
	if r, ok := r.(*schema.ShareGroupStatePartitions); ok {
		if r.Value == nil {
			return r.Key.Group + " reads deleted"
		}
		return fmt.Sprintf("%s reads %s", r.Key.Group, showRead(fromReadRecord(r.Value)))
	}
	if _, same := fromShareRecord(r); same != nil {
		return "share " + showConsumer(same)
	}
	return fmt.Sprintf("%T %+v", r, r)
}

func showMember(v *schema.ConsumerGroupMember) string {
	out := fmt.Sprintf("topics=%s", strings.Join(v.SubscribedTopicNames, ","))
	for _, f := range []struct {
		name string
		v    *string
	}{{"regex", v.SubscribedTopicRegex}, {"instance", v.InstanceID}, {"rack", v.RackID}, {"assignor", v.ServerAssignor}} {
		if f.v != nil {
			out += fmt.Sprintf(" %s=%s", f.name, *f.v)
		}
	}
	if cl := v.ClassicMemberMetadata; cl != nil {
		out += fmt.Sprintf(" classic session=%d", cl.SessionTimeoutMs)
		for _, p := range cl.SupportedProtocols {
			out += " " + p.Name
		}
	}
	return out
}

func showCurrent(cur *current) string {
	out := fmt.Sprintf("epoch=%d previous=%d %s", cur.epoch, cur.previous, showHeld(&cur.assigned))
	if len(cur.revoking.Partitions) > 0 {
		out += " revoking " + showHeld(&cur.revoking)
	}
	return out + map[memberState]string{memberUnrevoked: " unrevoked", memberUnreleased: " unreleased"}[cur.state]
}

// showHeld is "topic:partition@since".
func showHeld(h *held) string {
	var out []string
	for t, n := range h.All() {
		since, _ := h.epochOf(t, n)
		out = append(out, fmt.Sprintf("%d:%d@%d", t[0], n, since))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func showPartitions(p assign.Partitions) string {
	var out []string
	for t, n := range p.All() {
		out = append(out, fmt.Sprintf("%d:%d", t[0], n))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// dumpConsumer is what is replicated of such a group, and what follows from it.
func dumpConsumer(c *consumer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s %+v\n", c.state(), c.at())
	for _, id := range slices.Sorted(keys(c.members.All())) {
		mem, _ := c.members.Get(id)
		target, _ := c.target.Get(id)
		fmt.Fprintf(&b, "  %s %s target %s current %s\n", id, showMember(mem), showPartitions(target), showCurrent(c.has(id)))
	}
	fmt.Fprintf(&b, "  %d members, %d targets, %d current\n", c.members.Len(), c.target.Len(), c.current.Len())
	for _, p := range slices.Sorted(keys(c.patterns.All())) {
		v, _ := c.patterns.Get(p)
		fmt.Fprintf(&b, "  %s = %+v\n", p, *v)
	}
	r := c.roster()
	fmt.Fprintf(&b, "  %v %v %v %v %v %d %v\n", r.ids, r.instances, r.names, r.patterns, r.assignors, r.classic, r.protocols)
	for _, p := range slices.SortedFunc(maps.Keys(r.owners), func(a, b partition) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}) {
		fmt.Fprintf(&b, "  %v: %s\n", p, r.owners[p])
	}
	return b.String()
}

func keys[V any](all func(func(string, V) bool)) func(func(string) bool) {
	return func(yield func(string) bool) {
		all(func(k string, _ V) bool { return yield(k) })
	}
}
