package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// place assigns, over nodes in service, partitions first, first+1, ... to the nodes in turn: the leader of each is the next node, and
// its followers stand at a distance that grows by one each time round, so that the followers of one leader
// are spread as well. start is where the turn begins.
func place(nodes []*image.Node, start, first, partitions, rf int) []*command.Assignment {
	as := make([]*command.Assignment, partitions)
	n := len(nodes)
	for i := range as {
		at := start + first + i
		gap := 1 + at/n%max(n-1, 1)
		replicas := make([]int32, rf)
		replicas[0] = int32(nodes[at%n].ID)
		for r := 1; r < rf; r++ {
			// Among the other n-1 nodes, begin at the gap and go round.
			replicas[r] = int32(nodes[(at+1+(gap-1+r-1)%(n-1))%n].ID)
		}
		as[i] = &command.Assignment{Replicas: replicas, Leader: replicas[0]}
	}
	return as
}

// assignment is one by hand, which checkReplicas has let pass. The in-sync replicas are those in service; the first of them leads.
func assignment(nodes []*image.Node, replicas []int32) *command.Assignment {
	a := &command.Assignment{Replicas: replicas, Leader: int32(model.NoBroker)}
	for _, id := range replicas {
		if live(nodes, id) {
			a.Isr = append(a.Isr, id)
		}
	}
	if len(a.Isr) > 0 {
		a.Leader = a.Isr[0]
	}
	if len(a.Isr) == len(replicas) {
		a.Isr = nil // all: the shorter form
	}
	return a
}

func live(nodes []*image.Node, id int32) bool {
	return slices.ContainsFunc(nodes, func(n *image.Node) bool { return int32(n.ID) == id && !n.Fenced })
}

// checkReplicas refuses a manual assignment that cannot be. rf is what the partitions before it have, 0 if there is none.
func checkReplicas(nodes []*image.Node, replicas []int32, rf int) *Refusal {
	if len(replicas) == 0 {
		return refuse(InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	for i, id := range replicas {
		if !slices.ContainsFunc(nodes, func(n *image.Node) bool { return int32(n.ID) == id }) {
			return refuse(InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if slices.Contains(replicas[:i], id) {
			return refuse(InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if rf != 0 && len(replicas) != rf {
		return refuse(InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not "+
			"consistent with previous partitions, which have %d replica(s).", len(replicas), rf)
	}
	if !slices.ContainsFunc(replicas, func(id int32) bool { return live(nodes, id) }) {
		return refuse(InvalidReplicaAssignment, "All brokers specified in the manual partition assignment are fenced or in controlled shutdown.")
	}
	return nil
}

// inService returns the nodes that are not fenced.
func inService(nodes []*image.Node) []*image.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *image.Node) bool { return n.Fenced })
}

// checkFactor refuses a replication factor that the nodes cannot give. New partitions go only to nodes in service:
// one that begins its life under-replicated is more likely a surprise than a wish.
func checkFactor(nodes []*image.Node, rf int) *Refusal {
	switch up := len(inService(nodes)); {
	case rf > len(nodes):
		return refuse(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be "+
			"reached because only %d broker(s) are registered.", rf, rf, len(nodes))
	case rf > up:
		return refuse(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): only %d of %d registered broker(s) are in "+
			"service; start the others or use a smaller replication factor.", rf, up, len(nodes))
	}
	return nil
}
