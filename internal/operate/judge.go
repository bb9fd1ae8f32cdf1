package operate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chronik/internal/model"
)

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Kind string `json:"kind"` // a stable word for programs
	What string `json:"what"`
	Do   string `json:"do"`
}

// The kinds of problems, the worst first.
const (
	Offline         = "offline-partitions"
	UnderMinISR     = "under-min-isr"
	SilentVoter     = "voter-silent"
	NodeOut         = "node-out-of-service"
	UnknownNode     = "node-unknown"
	UnderReplicated = "under-replicated"
)

// Judge says what is wrong with a cluster, the worst first. Nothing is wrong if every partition has all of its replicas in sync and
// every member is there. A reassignment under way is not wrong.
func Judge(v *View) []Problem {
	var out []Problem
	out = append(out, judgeOffline(v)...)
	out = append(out, judgeMinISR(v)...)
	out = append(out, judgeVoters(v)...)
	out = append(out, judgeNodes(v)...)
	return append(out, judgeLag(v)...)
}

// judgeOffline finds partitions that nobody leads, by the nodes that could.
func judgeOffline(v *View) []Problem {
	byCandidates := newGroups()
	for i := range v.Partitions {
		if p := &v.Partitions[i]; p.Leader == model.NoBroker {
			byCandidates.add(nodeList(slices.Concat(p.ISR, without(p.ELR, p.ISR)), " or "), p.TopicPartition)
		}
	}
	return byCandidates.problems(func(candidates string, parts []model.TopicPartition) Problem {
		do := fmt.Sprintf("start %s: there is all that was acknowledged. Only if it is gone for good, accept the loss with an unclean election.", candidates)
		if candidates == "" {
			do = "the disks of all in-sync replicas were lost: restore them, or accept the loss with an unclean election."
		}
		return Problem{Offline, fmt.Sprintf("%s: no leader, so nothing can be read or written", named(parts)), do}
	})
}

// judgeMinISR finds partitions that refuse acks=all.
func judgeMinISR(v *View) []Problem {
	byMissing := newGroups()
	for i := range v.Partitions {
		if p := &v.Partitions[i]; p.Leader != model.NoBroker && len(p.ISR) < v.minISR(p) {
			byMissing.add(nodeList(p.lacks(), ", "), p.TopicPartition)
		}
	}
	return byMissing.problems(func(missing string, parts []model.TopicPartition) Problem {
		return Problem{UnderMinISR, fmt.Sprintf("%s: fewer replicas in sync than min.insync.replicas, so acks=all is refused", named(parts)),
			fmt.Sprintf("bring back %s, or move these partitions to other nodes.", missing)}
	})
}

// judgeVoters finds voters that are silent although their nodes are not known to be out of service.
func judgeVoters(v *View) []Problem {
	var out []Problem
	for _, f := range v.Quorum.Voters {
		if n := v.Node(f.Node); v.Quorum.heard(f) || n != nil && n.Fenced {
			continue
		}
		out = append(out, Problem{SilentVoter, fmt.Sprintf("%s, a metadata voter, %s: %s", one(f.Node), unheard(v, f), reserve(v)),
			fmt.Sprintf("start it, or if it is gone for good: chronik cluster remove-node %d", f.Node)})
	}
	return out
}

func unheard(v *View, f Follower) string {
	if f.Heard.IsZero() {
		return "was not heard of since the controller took over"
	}
	return fmt.Sprintf("was not heard of for %s", v.Quorum.now().Sub(f.Heard).Round(time.Second))
}

// reserve says how many voters may still fail.
func reserve(v *View) string {
	spare := v.Quorum.answering(model.NoBroker) - (len(v.Quorum.Voters)/2 + 1)
	if spare > 0 {
		return fmt.Sprintf("%s may fail and the cluster can still elect leaders", count(spare, "more voter"))
	}
	return "if one more voter fails, the cluster can elect no leaders and change nothing"
}

func judgeNodes(v *View) []Problem {
	var out []Problem
	for _, n := range v.Nodes {
		if !n.Fenced {
			continue
		}
		what := fmt.Sprintf("%s (%s) is out of service; it holds %s", one(n.ID), n.address(), count(v.holds(n.ID), "replica"))
		if f, votes := v.Quorum.voter(n.ID); votes && !v.Quorum.heard(f) {
			what += " and a vote on the metadata: " + reserve(v)
		}
		out = append(out, Problem{NodeOut, what, fmt.Sprintf("start it, or if it is gone for good: chronik cluster remove-node %d", n.ID)})
	}
	unknown := map[model.BrokerID]int{}
	for i := range v.Partitions {
		for _, id := range v.Partitions[i].Replicas {
			if v.Node(id) == nil {
				unknown[id]++
			}
		}
	}
	for _, id := range sortedKeys(unknown) {
		out = append(out, Problem{UnknownNode, fmt.Sprintf("%s was removed, and %s still assigned to it", one(id), areOnes(unknown[id], "replica")),
			fmt.Sprintf("chronik cluster remove-node %d moves them to other nodes.", id)})
	}
	return out
}

// judgeLag finds partitions that lack a replica although its node is in service.
func judgeLag(v *View) []Problem {
	byNode := newGroups()
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.Leader == model.NoBroker {
			continue
		}
		for _, id := range p.lacks() {
			if v.up(id) {
				byNode.add(one(id), p.TopicPartition)
			}
		}
	}
	return byNode.problems(func(node string, parts []model.TopicPartition) Problem {
		return Problem{UnderReplicated, fmt.Sprintf("%s: the replica on %s is behind", named(parts), node),
			"wait if it has just come back, it catches up by itself; else look at its log, its disk and its network."}
	})
}

func (n *Node) address() string { return fmt.Sprintf("%s:%d", n.Host, n.Port) }

func one(id model.BrokerID) string { return fmt.Sprintf("node %d", id) }

// nodeList names nodes: "node 1", "node 1 or node 2".
func nodeList(ids []model.BrokerID, sep string) string {
	var names []string
	for _, id := range slices.Sorted(slices.Values(ids)) {
		names = append(names, one(id))
	}
	return strings.Join(names, sep)
}

// named counts partitions and names the first ones.
func named(parts []model.TopicPartition) string {
	const shown = 3
	var names []string
	for _, tp := range parts[:min(len(parts), shown)] {
		names = append(names, tp.String())
	}
	if rest := len(parts) - shown; rest > 0 {
		names = append(names, fmt.Sprintf("%d more", rest))
	}
	return fmt.Sprintf("%s (%s)", count(len(parts), "partition"), strings.Join(names, ", "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func areOnes(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}
