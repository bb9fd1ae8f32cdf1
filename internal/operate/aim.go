package operate

import (
	"fmt"
	"slices"
	"strings"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// Aim is what an operation wants to come to. Next is the step that leads there from what is seen; it is pure, and right whatever was done before.
type Aim interface{ Next(v *View) Step }

// Step is the next thing to do.
type Step struct {
	Act  Act
	Say  string // what is done, waited for or come to, for a person
	Node model.BrokerID
	// Moves are the reassignments to begin, Elect the partitions whose preferred replicas should lead.
	Moves []controller.Reassignment
	Elect []model.TopicPartition
}

// Act is a kind of step.
type Act uint8

// The kinds of steps.
const (
	Done        Act = iota // the aim is reached
	Refuse                 // it cannot be reached: Say tells why, and what would help
	Wait                   // others have to do something first
	Move                   // begin Moves
	Elect                  // have Elect led by their preferred replicas
	AddVoter               // give Node a vote
	RemoveVoter            // take Node's vote, or its place among those who follow the metadata without one
	Unregister             // forget Node
)

// Rebalance aims at even numbers of replicas and leaders on all nodes in service.
type Rebalance struct {
	Internal map[string]int // internal topics, with the replication factors that they should have
	Limit    int            // reassignments under way at a time, at least 1
}

// Plan is what would move. Dry runs show it.
func (r Rebalance) Plan(v *View) controller.Plan {
	return controller.PlanRebalance(v.layout(), controller.Rebalance{Internal: r.Internal, Limit: r.Limit})
}

// Next implements Aim.
func (r Rebalance) Next(v *View) Step {
	if s, more := moving(v, r.Plan(v)); more {
		return s
	}
	if parts := unpreferred(v); len(parts) > 0 {
		return Step{Act: Elect, Elect: parts, Say: fmt.Sprintf("the preferred replicas of %s take the lead", named(parts))}
	}
	return Step{Act: Done, Say: "replicas and leaders are even: " + loads(v)}
}

// unpreferred are partitions that are led by another than the preferred replica, which could.
func unpreferred(v *View) (out []model.TopicPartition) {
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if first := p.Replicas[0]; p.Leader != model.NoBroker && p.Leader != first && v.up(first) && slices.Contains(p.ISR, first) {
			out = append(out, p.TopicPartition)
		}
	}
	return out
}

// AddNode aims at a node that is in service and has its share.
type AddNode struct {
	ID    model.BrokerID
	Voter bool // it is to vote on the metadata
	Rebalance
}

// Next implements Aim.
func (a AddNode) Next(v *View) Step {
	n := v.Node(a.ID)
	switch {
	case n == nil:
		return Step{Act: Wait, Say: fmt.Sprintf("waiting for %s to register: start it with --node-id %d, --raft-addr, --peers naming nodes of this cluster, and an empty data directory", one(a.ID), a.ID)}
	case n.Fenced:
		return Step{Act: Wait, Say: fmt.Sprintf("waiting for %s, which is registered and out of service: is it running?", one(a.ID))}
	}
	if _, votes := v.Quorum.voter(a.ID); a.Voter && !votes {
		if _, follows := v.Quorum.observer(a.ID); !follows {
			return Step{Act: Wait, Say: fmt.Sprintf("waiting for %s to follow the metadata", one(a.ID))}
		}
		return Step{Act: AddVoter, Node: a.ID, Say: fmt.Sprintf("%s gets a vote on the metadata", one(a.ID))}
	}
	return a.Rebalance.Next(v)
}

// RemoveNode aims at a cluster without a node: nothing on it, no vote, not registered.
type RemoveNode struct {
	ID    model.BrokerID
	Limit int // reassignments under way at a time, at least 1
}

// Next implements Aim.
func (r RemoveNode) Next(v *View) Step {
	n := v.Node(r.ID)
	if v.holds(r.ID) > 0 {
		return r.drain(v)
	}
	if _, votes := v.Quorum.voter(r.ID); votes {
		if why := r.needed(v); why != "" {
			return Step{Act: Refuse, Say: why}
		}
		return Step{Act: RemoveVoter, Node: r.ID, Say: fmt.Sprintf("%s holds no partitions any more; it loses its vote on the metadata", one(r.ID))}
	}
	switch {
	case n == nil:
		return Step{Act: Done, Say: fmt.Sprintf("%s is not part of the cluster", one(r.ID))}
	case !n.Fenced:
		return Step{Act: Wait, Say: fmt.Sprintf("%s holds no partitions and has no vote any more: stop it now, and see that nothing starts it again", one(r.ID))}
	}
	if _, follows := v.Quorum.observer(r.ID); follows {
		return Step{Act: RemoveVoter, Node: r.ID, Say: fmt.Sprintf("%s is stopped and empty; the metadata quorum forgets it", one(r.ID))}
	}
	return Step{Act: Unregister, Node: r.ID, Say: fmt.Sprintf("%s is stopped and empty; the cluster forgets it", one(r.ID))}
}

// drain moves partitions away.
func (r RemoveNode) drain(v *View) Step {
	if alone := r.alone(v); len(alone) > 0 {
		return Step{Act: Refuse, Say: fmt.Sprintf("%s alone holds all that was acknowledged in %s, and is out of service: start it, or delete these topics, or accept the loss with an unclean election",
			one(r.ID), named(alone))}
	}
	plan := controller.PlanRebalance(v.layout(r.ID), controller.Rebalance{Drain: []model.BrokerID{r.ID}, DrainOnly: true, Limit: r.Limit})
	if len(plan.Stuck) > 0 {
		return Step{Act: Refuse, Say: r.tooFew(v, plan.Stuck)}
	}
	s, _ := moving(v, plan)
	s.Say = fmt.Sprintf("%s on %s: %s", count(v.holds(r.ID), "replica"), one(r.ID), s.Say)
	return s
}

// alone are the partitions without a leader that only this node could lead.
func (r RemoveNode) alone(v *View) (out []model.TopicPartition) {
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.Leader == model.NoBroker && !v.up(r.ID) && len(without(slices.Concat(p.ISR, p.ELR), []model.BrokerID{r.ID})) == 0 && slices.Contains(p.Replicas, r.ID) {
			out = append(out, p.TopicPartition)
		}
	}
	return out
}

// tooFew says that the other nodes cannot hold the replication factors.
func (r RemoveNode) tooFew(v *View, stuck []model.TopicPartition) string {
	rf, up, out := 0, 0, []model.BrokerID(nil)
	for i := range v.Partitions {
		if p := &v.Partitions[i]; slices.Contains(stuck, p.TopicPartition) {
			rf = max(rf, len(p.Target()))
		}
	}
	for _, n := range v.Nodes {
		switch {
		case n.ID == r.ID:
		case n.Fenced:
			out = append(out, n.ID)
		default:
			up++
		}
	}
	help := "add a node first, or lower the replication factor"
	if len(out) > 0 {
		help = fmt.Sprintf("start %s, add a node, or lower the replication factor", nodeList(out, " and "))
	}
	return fmt.Sprintf("%s cannot be removed: %s up to %d replicas, and without it %s in service: %s",
		one(r.ID), need(named(stuck), len(stuck)), rf, areOnes(up, "node"), help)
}

func need(what string, n int) string {
	if n == 1 {
		return what + " has"
	}
	return what + " have"
}

// needed says why the quorum cannot do without this node; empty if it can.
func (r RemoveNode) needed(v *View) string {
	others := len(v.Quorum.Voters) - 1
	if others == 0 {
		return fmt.Sprintf("%s is the only voter on the metadata: add another one first (chronik cluster add-node ID --voter)", one(r.ID))
	}
	if answer, majority := v.Quorum.answering(r.ID), others/2+1; answer < majority {
		return fmt.Sprintf("%s cannot lose its vote: of the %s besides only %d can be reached, and %d are needed: bring back the others first", one(r.ID), count(others, "voter"), answer, majority)
	}
	return ""
}

// moving is the step of a plan that has not come to its end.
func moving(v *View, plan controller.Plan) (s Step, more bool) {
	if plan.Done() {
		return Step{}, false
	}
	say := fmt.Sprintf("%s to move, %d under way", count(len(plan.Moves)+plan.Under+plan.Left, "partition"), len(plan.Moves)+plan.Under)
	if len(plan.Moves) > 0 {
		return Step{Act: Move, Moves: plan.Moves, Say: say}, true
	}
	return Step{Act: Wait, Say: say + behind(v)}, true
}

// behind says whom reassignments wait for.
func behind(v *View) string {
	waits := map[model.BrokerID]int{}
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if !p.Moving() {
			continue
		}
		for _, id := range without(p.Target(), p.ISR) {
			waits[id]++
		}
	}
	var texts []string
	for _, id := range sortedKeys(waits) {
		text := fmt.Sprintf("%s to catch up with %d", one(id), waits[id])
		if !v.up(id) {
			text = fmt.Sprintf("%s, which is out of service, with %d", one(id), waits[id])
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return ""
	}
	return "; waiting for " + strings.Join(texts, ", ")
}

// loads says how many leaders and replicas each node has.
func loads(v *View) string {
	leaders := map[model.BrokerID]int{}
	for i := range v.Partitions {
		leaders[v.Partitions[i].Leader]++
	}
	var texts []string
	for _, n := range v.Nodes {
		texts = append(texts, fmt.Sprintf("%s leads %d and holds %d", one(n.ID), leaders[n.ID], v.holds(n.ID)))
	}
	return strings.Join(texts, ", ")
}
