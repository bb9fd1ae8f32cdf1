package operate

import (
	"slices"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// View is a cluster as it was seen.
type View struct {
	ClusterID  string
	Controller model.BrokerID // the active controller; model.NoBroker: not known
	Quorum     Quorum
	Nodes      []Node      // registered ones, by ID
	Partitions []Partition // by name
	// MinISR is min.insync.replicas of the topics of which a partition lacks an in-sync replica; the others were not asked for.
	MinISR map[string]int
}

// Quorum is the metadata log and who follows it.
type Quorum struct {
	Epoch         int32
	HighWatermark int64
	Voters        []Follower // by node
	Observers     []Follower // by node: they follow without a vote
}

// Follower is a replica of the metadata log.
type Follower struct {
	Node      model.BrokerID
	Directory [16]byte
	LogEnd    int64     // the offset after its last entry, -1 if that is not known
	Heard     time.Time // when the controller last heard it, by the controller's clock; zero: not known
}

// Node is a registered broker.
type Node struct {
	ID     model.BrokerID
	Host   string
	Port   int32
	Rack   string // empty: none
	Fenced bool   // out of service
}

// Partition is who holds a partition.
type Partition struct {
	model.TopicPartition
	Leader           model.BrokerID // model.NoBroker: nobody leads
	Replicas         []model.BrokerID
	ISR, ELR         []model.BrokerID
	Adding, Removing []model.BrokerID // of the reassignment under way
}

// Moving tells whether a reassignment is under way.
func (p *Partition) Moving() bool { return len(p.Adding)+len(p.Removing) > 0 }

// Target is the replicas that the partition has when its reassignment is done.
func (p *Partition) Target() []model.BrokerID { return without(p.Replicas, p.Removing) }

// lacks is the replicas that should be in sync and are not. Those that are just being added need not be.
func (p *Partition) lacks() []model.BrokerID { return without(without(p.Replicas, p.Adding), p.ISR) }

// minISR is the number of in-sync replicas without which acks=all is refused (KIP-966).
func (v *View) minISR(p *Partition) int {
	return min(max(v.MinISR[p.Topic], 1), len(without(p.Replicas, p.Adding)))
}

// Node finds a registered node, nil if there is none with this ID.
func (v *View) Node(id model.BrokerID) *Node {
	i := slices.IndexFunc(v.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &v.Nodes[i]
}

// up tells whether a node is in service.
func (v *View) up(id model.BrokerID) bool {
	n := v.Node(id)
	return n != nil && !n.Fenced
}

// holds counts the partitions that have a replica on a node.
func (v *View) holds(id model.BrokerID) (n int) {
	for i := range v.Partitions {
		if slices.Contains(v.Partitions[i].Replicas, id) {
			n++
		}
	}
	return n
}

// layout is what plans are made from. A reassignment that leads away from a drained node to one that is out of service never ends: it is
// taken for one that has not begun, so that the plan leads elsewhere.
func (v *View) layout(drain ...model.BrokerID) controller.Layout {
	l := controller.Layout{Partitions: make([]controller.LayoutPartition, 0, len(v.Partitions))}
	for _, n := range v.Nodes {
		l.Nodes = append(l.Nodes, controller.LayoutNode{ID: n.ID, Rack: n.Rack, Active: !n.Fenced})
	}
	for i := range v.Partitions {
		p := &v.Partitions[i]
		at := controller.LayoutPartition{TopicPartition: p.TopicPartition, Replicas: p.Target(), Moving: p.Moving()}
		if len(without(p.Removing, drain)) < len(p.Removing) && slices.ContainsFunc(p.Adding, func(id model.BrokerID) bool { return !v.up(id) }) {
			at.Replicas, at.Moving = without(p.Replicas, p.Adding), false
		}
		l.Partitions = append(l.Partitions, at)
	}
	return l
}

// now is the controller's clock when it described the quorum; zero if it did not say.
func (q *Quorum) now() (now time.Time) {
	for _, f := range slices.Concat(q.Voters, q.Observers) {
		if f.Heard.After(now) {
			now = f.Heard
		}
	}
	return now
}

// silentAfter is how long a replica of the metadata may not be heard of before it counts as gone. Healthy ones answer several times a second.
const silentAfter = 5 * time.Second

// heard tells whether the controller has heard a replica of the metadata of late.
func (q *Quorum) heard(f Follower) bool {
	return !f.Heard.IsZero() && q.now().Sub(f.Heard) < silentAfter
}

// voter finds the voter on a node.
func (q *Quorum) voter(id model.BrokerID) (Follower, bool) { return find(q.Voters, id) }

// observer finds the observer on a node.
func (q *Quorum) observer(id model.BrokerID) (Follower, bool) { return find(q.Observers, id) }

func find(list []Follower, id model.BrokerID) (Follower, bool) {
	i := slices.IndexFunc(list, func(f Follower) bool { return f.Node == id })
	if i < 0 {
		return Follower{}, false
	}
	return list[i], true
}

// answering counts the voters that are heard, one node left out.
func (q *Quorum) answering(but model.BrokerID) (n int) {
	for _, f := range q.Voters {
		if f.Node != but && q.heard(f) {
			n++
		}
	}
	return n
}

func without(list, gone []model.BrokerID) []model.BrokerID {
	var out []model.BrokerID
	for _, id := range list {
		if !slices.Contains(gone, id) {
			out = append(out, id)
		}
	}
	return out
}
