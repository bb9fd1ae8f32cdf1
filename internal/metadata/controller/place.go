package controller

import (
	"slices"
	"strconv"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// ring is where new replicas go: the active nodes, by turns of racks, and the others as a last resort.
type ring struct {
	nodes []*image.Node
	spare []*image.Node
}

// ringOf puts the nodes in the order of turns: one of each rack, then the second ones, so that neighbours stand in
// different racks. A node that names no rack is a rack of its own.
func ringOf(nodes []*image.Node) ring {
	var racks []string // in the order of their first nodes
	members := map[string][]*image.Node{}
	var r ring
	for _, n := range nodes {
		if !n.Active() {
			r.spare = append(r.spare, n)
			continue
		}
		if len(members[rackOf(n)]) == 0 {
			racks = append(racks, rackOf(n))
		}
		members[rackOf(n)] = append(members[rackOf(n)], n)
	}
	for turn := 0; ; turn++ {
		placed := len(r.nodes)
		for _, rack := range racks {
			if turn < len(members[rack]) {
				r.nodes = append(r.nodes, members[rack][turn])
			}
		}
		if len(r.nodes) == placed {
			return r
		}
	}
}

// rackOf is the rack that a node stands in, by a name that no other node without one has.
func rackOf(n *image.Node) string {
	if n.Rack == "" {
		return "\x00" + strconv.Itoa(int(n.ID))
	}
	return n.Rack
}

// place assigns partitions first, first+1, ... to the nodes in turn: the leader of each is the next node, and
// its followers stand at a distance that grows by one each time round, so that the followers of one leader
// are spread as well; in racks of their own as far as there are any. start is where the turn begins. Nodes that are
// not active hold replicas only where the others do not suffice, outside of the ISR.
func (r ring) place(start, first, partitions, rf int) []*command.Assignment {
	as := make([]*command.Assignment, partitions)
	n := len(r.nodes)
	replicas := make([]int32, 0, partitions*rf)
	row := make([]*image.Node, 0, n)
	for i := range as {
		at := start + first + i
		gap := 1 + at/n%max(n-1, 1)
		row = append(row[:0], r.nodes[at%n])
		for k := range n - 1 { // the other n-1 nodes: begin at the gap and go round
			row = append(row, r.nodes[(at+1+(gap-1+k)%(n-1))%n])
		}
		from := len(replicas)
		replicas = choose(replicas, row, rf)
		as[i] = &command.Assignment{Leader: int32(row[0].ID)}
		if up := len(replicas) - from; up < rf {
			as[i].Isr = replicas[from : from+up : from+up]
			for k := range rf - up {
				replicas = append(replicas, int32(r.spare[(at+k)%len(r.spare)].ID))
			}
		}
		as[i].Replicas = replicas[from:len(replicas):len(replicas)]
	}
	return as
}

// choose appends the first rf nodes of a row, passing over those whose racks have one already as long as there are others.
func choose(replicas []int32, row []*image.Node, rf int) []int32 {
	from := len(replicas)
	for i, n := range row {
		if len(replicas)-from == rf {
			return replicas
		}
		again := slices.ContainsFunc(row[:i], func(o *image.Node) bool {
			return rackOf(o) == rackOf(n) && slices.Contains(replicas[from:], int32(o.ID))
		})
		if !again {
			replicas = append(replicas, int32(n.ID))
		}
	}
	for _, n := range row {
		if len(replicas)-from < rf && !slices.Contains(replicas[from:], int32(n.ID)) {
			replicas = append(replicas, int32(n.ID))
		}
	}
	return replicas
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
	return slices.ContainsFunc(nodes, func(n *image.Node) bool { return int32(n.ID) == id && n.Active() })
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

// checkFactor refuses a replication factor that the nodes cannot give. A node alone has no others to wait for: new partitions go
// only to nodes in service. In a cluster a topic can be created while a node restarts, as in Kafka; its
// partitions begin without the replicas that are not there.
func checkFactor(m *image.Image, r ring, rf int) *Refusal {
	switch all, up := len(m.Nodes()), len(r.nodes); {
	case rf > all:
		return refuse(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be "+
			"reached because only %d broker(s) are registered.", rf, rf, all)
	case up == 0:
		return refuse(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", rf)
	case rf > up && !m.Clustered():
		return refuse(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): only %d of %d registered broker(s) are in "+
			"service; start the others or use a smaller replication factor.", rf, up, all)
	}
	return nil
}
