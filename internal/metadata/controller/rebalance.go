package controller

import (
	"cmp"
	"slices"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Layout is what a plan is made from: the nodes and who holds what. It is the part of an image that any client can see, so that a plan can
// be made far from the controller.
type Layout struct {
	Nodes      []LayoutNode
	Partitions []LayoutPartition
}

// LayoutNode is a node that may hold replicas.
type LayoutNode struct {
	ID     model.BrokerID
	Rack   string // empty: a rack of its own
	Active bool   // it may be given replicas
}

// LayoutPartition is a partition with the replicas that it has, or will have when the reassignment under way is done.
type LayoutPartition struct {
	model.TopicPartition
	Replicas []model.BrokerID // never empty
	Moving   bool             // a reassignment is under way
}

// LayoutOf is the layout of an image.
func LayoutOf(m *image.Image) Layout {
	l := Layout{Partitions: make([]LayoutPartition, 0, m.PartitionCount())}
	for _, n := range m.Nodes() {
		l.Nodes = append(l.Nodes, LayoutNode{n.ID, n.Rack, n.Active()})
	}
	each(m, func(t *image.Topic, n int32, s *image.Partition) {
		tp := model.TopicPartition{Topic: t.Name, Partition: n}
		l.Partitions = append(l.Partitions, LayoutPartition{tp, s.Target(), s.Reassigning()})
	})
	return l
}

// Rebalance asks for a plan that evens out replicas and leaders over the active nodes.
type Rebalance struct {
	Drain     []model.BrokerID // nodes that are to hold nothing
	DrainOnly bool             // nothing else is to move
	Internal  map[string]int   // internal topics with the replication factors that they should have (M4)
	Limit     int              // reassignments under way at a time, at least 1
}

// Plan is the next step of a rebalance.
type Plan struct {
	Moves []Reassignment // to be given to AlterPartitionReassignments, with a change of the factor allowed
	Under int            // reassignments under way
	Left  int            // moves that remain to be made after these
	Stuck []model.TopicPartition
}

// Done tells whether the rebalance has come to its end. Stuck partitions are left as they are.
func (p Plan) Done() bool { return len(p.Moves)+p.Under+p.Left == 0 }

// PlanRebalance decides the next step: first what drained nodes hold, then internal topics with too few replicas, then replicas of the
// fullest nodes go to the emptiest ones, then the order of replicas changes so that preferred leaders are even. No
// move takes a partition's replicas into fewer racks than before. It is asked again when a step is done; the plan depends on the layout alone.
//
// Stuck are partitions on drained nodes for which there are not enough other nodes.
func PlanRebalance(l Layout, r Rebalance) Plan {
	p := newPlanner(l, r)
	p.drain()
	if !r.DrainOnly {
		p.raise(r.Internal)
		p.even(&p.replicas, p.moveReplica)
		p.even(&p.leaders, p.moveLeader)
	}
	free := min(max(0, max(1, r.Limit)-p.under), len(p.moves))
	return Plan{Moves: p.moves[:free], Under: p.under, Left: len(p.moves) - free, Stuck: p.stuck}
}

// load counts replicas or leaders per node.
type load map[model.BrokerID]int

type planner struct {
	parts   []*planned
	on      map[model.BrokerID][]*planned // by node, as it was
	nodes   []model.BrokerID              // that may be given something, by ID
	racks   map[model.BrokerID]string
	drained []model.BrokerID

	replicas, leaders load
	moves             []Reassignment
	under             int
	stuck             []model.TopicPartition
}

// planned is a partition with the replicas that it has, or will have.
type planned struct {
	model.TopicPartition
	replicas []model.BrokerID
	fixed    bool // it moves already, by this plan or before it
}

func newPlanner(l Layout, r Rebalance) *planner {
	p := &planner{on: map[model.BrokerID][]*planned{}, racks: map[model.BrokerID]string{}, drained: r.Drain, replicas: load{}, leaders: load{}}
	for _, n := range l.Nodes {
		p.racks[n.ID] = rackOf(&image.Node{ID: n.ID, Rack: n.Rack})
		if n.Active && !slices.Contains(r.Drain, n.ID) {
			p.nodes = append(p.nodes, n.ID)
		}
	}
	slices.Sort(p.nodes)
	for _, at := range l.Partitions {
		if at.Moving {
			p.under++
		}
		p.parts = append(p.parts, &planned{at.TopicPartition, at.Replicas, at.Moving})
	}
	slices.SortFunc(p.parts, func(a, b *planned) int { return a.Compare(b.TopicPartition) })
	for _, part := range p.parts {
		p.count(part.replicas, 1)
		for _, id := range part.replicas {
			p.on[id] = append(p.on[id], part)
		}
	}
	return p
}

func (p *planner) count(replicas []model.BrokerID, by int) {
	for _, id := range replicas {
		p.replicas[id] += by
	}
	p.leaders[replicas[0]] += by
}

// move makes a partition's replicas part of the plan.
func (p *planner) move(part *planned, replicas []model.BrokerID) {
	p.count(part.replicas, -1)
	p.count(replicas, 1)
	part.replicas, part.fixed = replicas, true
	p.moves = append(p.moves, Reassignment{part.TopicPartition, replicas})
}

// drain replaces the drained nodes wherever they stand.
func (p *planner) drain() {
	isDrained := func(id model.BrokerID) bool { return slices.Contains(p.drained, id) }
	for _, part := range p.parts {
		if part.fixed || !slices.ContainsFunc(part.replicas, isDrained) {
			continue
		}
		next := slices.Clone(part.replicas)
		for i, id := range next {
			if !isDrained(id) {
				continue
			}
			to, ok := p.best(next, i)
			if !ok {
				p.stuck = append(p.stuck, part.TopicPartition)
				next = nil
				break
			}
			next[i] = to
		}
		if next != nil {
			p.move(part, next)
		}
	}
}

// raise adds replicas to internal topics.
func (p *planner) raise(wanted map[string]int) {
	for _, part := range p.parts {
		factor := min(wanted[part.Topic], len(p.nodes))
		if part.fixed || len(part.replicas) >= factor {
			continue
		}
		next := slices.Clone(part.replicas)
		for len(next) < factor {
			to, ok := p.best(next, len(next))
			if !ok {
				break
			}
			next = append(next, to)
		}
		if len(next) > len(part.replicas) {
			p.move(part, next)
		}
	}
}

// best finds the node for place i of a replica list: in a rack that no other replica stands in if there is one, else with the fewest replicas.
func (p *planner) best(replicas []model.BrokerID, i int) (model.BrokerID, bool) {
	others := slices.Concat(replicas[:i], replicas[min(i+1, len(replicas)):])
	free := slices.DeleteFunc(slices.Clone(p.nodes), func(id model.BrokerID) bool { return slices.Contains(replicas, id) })
	if len(free) == 0 {
		return model.NoBroker, false
	}
	shares := func(id model.BrokerID) int {
		return number(slices.ContainsFunc(others, func(o model.BrokerID) bool { return p.racks[o] == p.racks[id] }))
	}
	return slices.MinFunc(free, func(a, b model.BrokerID) int {
		return cmp.Or(cmp.Compare(shares(a), shares(b)), cmp.Compare(p.replicas[a], p.replicas[b]), cmp.Compare(a, b))
	}), true
}

// even moves one thing after the other from a fuller node to an emptier one, as long as two nodes differ by more than one and
// there is something that may move between them.
func (p *planner) even(l *load, move func(from, to model.BrokerID) bool) {
	for {
		order := slices.SortedFunc(slices.Values(p.nodes), func(a, b model.BrokerID) int {
			return cmp.Or(cmp.Compare((*l)[b], (*l)[a]), cmp.Compare(a, b))
		})
		if !evenOnce(*l, order, move) {
			return
		}
	}
}

func evenOnce(l load, order []model.BrokerID, move func(from, to model.BrokerID) bool) bool {
	for _, from := range order {
		for _, to := range slices.Backward(order) {
			if l[from]-l[to] > 1 && move(from, to) {
				return true
			}
		}
	}
	return false
}

// moveReplica moves one replica between two nodes, if that does not take its partition into fewer racks.
func (p *planner) moveReplica(from, to model.BrokerID) bool {
	for _, part := range p.movable(from) {
		if part.fixed || slices.Contains(part.replicas, to) {
			continue
		}
		next := slices.Clone(part.replicas)
		next[slices.Index(next, from)] = to
		if p.spread(next) >= p.spread(part.replicas) {
			p.move(part, next)
			return true
		}
	}
	return false
}

// moveLeader makes another replica the preferred leader of one partition.
func (p *planner) moveLeader(from, to model.BrokerID) bool {
	for _, part := range p.movable(from) {
		if i := slices.Index(part.replicas, to); !part.fixed && part.replicas[0] == from && i > 0 {
			next := slices.Clone(part.replicas)
			next[0], next[i] = to, from
			p.move(part, next)
			return true
		}
	}
	return false
}

// movable returns the partitions of a node, those at the head that are fixed by now cut off.
func (p *planner) movable(id model.BrokerID) []*planned {
	list := p.on[id]
	for len(list) > 0 && list[0].fixed {
		list = list[1:]
	}
	p.on[id] = list
	return list
}

// spread is the number of racks that replicas stand in.
func (p *planner) spread(replicas []model.BrokerID) int {
	n := 0
	for i, id := range replicas {
		if !slices.ContainsFunc(replicas[:i], func(o model.BrokerID) bool { return p.racks[o] == p.racks[id] }) {
			n++
		}
	}
	return n
}
