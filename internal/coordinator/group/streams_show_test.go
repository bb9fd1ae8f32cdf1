package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

// showStreams is a record of a streams group; empty: it is none.
func showStreams(r schema.Record) string {
	deleted := func(what string) string {
		id, _ := streamsKey(r)
		return fmt.Sprintf("streams %s %s deleted", id, what)
	}
	switch r := r.(type) {
	case *schema.StreamsGroupEpoch:
		if v := r.Value; v != nil {
			return fmt.Sprintf("streams %s epoch=%d validated=%d standbys=%s", r.Key.Group, v.Epoch, v.ValidatedTopologyEpoch, standbysOf(v))
		}
		return deleted("epoch")
	case *schema.StreamsGroupTopology:
		if v := r.Value; v != nil {
			return fmt.Sprintf("streams %s topology of epoch %d with %d subtopologies", r.Key.Group, v.Epoch, len(v.Subtopologies))
		}
		return deleted("topology")
	case *schema.StreamsGroupTargetEpoch:
		if r.Value != nil {
			return fmt.Sprintf("streams %s target epoch=%d", r.Key.Group, r.Value.AssignmentEpoch)
		}
		return deleted("target epoch")
	case *schema.StreamsGroupMemberMetadata:
		if r.Value != nil {
			return fmt.Sprintf("streams %s member %s %s", r.Key.Group, r.Key.Member, showStreamsMember(r.Value))
		}
		return deleted("member " + r.Key.Member)
	case *schema.StreamsGroupTargetAssignment:
		if r.Value != nil {
			return fmt.Sprintf("streams %s target %s %s", r.Key.Group, r.Key.Member, showTasks(fromStreamsTarget(r.Value)))
		}
		return deleted("target " + r.Key.Member)
	case *schema.StreamsGroupCurrentAssignment:
		if r.Value != nil {
			return fmt.Sprintf("streams %s current %s %s", r.Key.Group, r.Key.Member, showStreamsCurrent(&streamsCurrent{streams.FromRecord(r.Value), r.Value.PreviousMemberEpoch}))
		}
		return deleted("current " + r.Key.Member)
	}
	return ""
}

func showStreamsMember(v *schema.StreamsGroupMember) string {
	out := fmt.Sprintf("process=%s topology=%d rebalance=%d", v.ProcessID, v.TopologyEpoch, v.RebalanceTimeoutMs)
	if v.RackID != nil {
		out += " rack=" + *v.RackID
	}
	if v.UserEndpoint != nil {
		out += fmt.Sprintf(" endpoint=%s:%d", v.UserEndpoint.Host, v.UserEndpoint.Port)
	}
	for _, t := range v.ClientTags {
		out += fmt.Sprintf(" %s:%s", t.Key, t.Value)
	}
	return out
}

func showList(tasks []streams.TaskID) string {
	var out []string
	for _, t := range tasks {
		out = append(out, fmt.Sprintf("%s.%d", t.Subtopology, t.Partition))
	}
	return strings.Join(out, " ")
}

func showTasks(t streams.Tasks) string {
	out := "[" + showList(t.Active) + "]"
	if len(t.Standby) > 0 {
		out += " standby [" + showList(t.Standby) + "]"
	}
	return out
}

func showStreamsCurrent(cur *streamsCurrent) string {
	out := fmt.Sprintf("epoch=%d previous=%d %s", cur.Epoch, cur.previous, showTasks(cur.tasks()))
	if len(cur.Revoking)+len(cur.RevokingStandby) > 0 {
		out += " revoking " + showTasks(streams.Tasks{
			Active: inOrder(slices.Collect(maps.Keys(cur.Revoking))), Standby: inOrder(slices.Collect(maps.Keys(cur.RevokingStandby))),
		})
	}
	return out + map[streams.MemberState]string{streams.Unrevoked: " unrevoked", streams.Unreleased: " unreleased"}[cur.State]
}

// dumpStreams is what is replicated of such a group, and what follows from it.
func dumpStreams(c *streamsGroup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s %+v\n", c.state(), c.at())
	if t, ok := c.topology.Get(struct{}{}); ok {
		fmt.Fprintf(&b, "  %+v\n", *t)
	}
	for _, id := range slices.Sorted(keys(c.members.All())) {
		mem, _ := c.members.Get(id)
		target, _ := c.target.Get(id)
		fmt.Fprintf(&b, "  %s %s target %s current %s\n", id, showStreamsMember(mem), showTasks(target), showStreamsCurrent(c.has(id)))
	}
	r := c.roster()
	fmt.Fprintf(&b, "  %d members, %d targets, %d current, %v\n", c.members.Len(), c.target.Len(), c.current.Len(), r.ids)
	for _, t := range inOrder(slices.Collect(maps.Keys(r.holders))) {
		holders := slices.SortedFunc(slices.Values(r.holders[t]), func(a, b taskHolder) int { return strings.Compare(a.member, b.member) })
		fmt.Fprintf(&b, "  %s.%d: %v\n", t.Subtopology, t.Partition, holders)
	}
	return b.String()
}
