package quorum

import (
	"fmt"
	"slices"
	"strings"

	"chronik/internal/model"
)

// Peer is what a node says of itself before it takes part.
type Peer struct {
	Node model.BrokerID
	// ClusterID is the cluster that its data directory belongs to; empty if the directory is.
	ClusterID string
	// Peers are the nodes that it was configured with, itself among them or not.
	Peers []model.BrokerID
}

// Action is what a node does at its start.
type Action int

// The actions.
const (
	// Wait: ask again.
	Wait Action = iota
	// Create: begin a new cluster, with this node as its first voter, and take the others in.
	Create
	// Join: wait in the cluster of Decision.ClusterID to be taken in.
	Join
	// Start: go on with what is in the directory. If it was a standalone node's, take the others in.
	Start
	// Refuse: do not start; Decision.Reason says what is wrong.
	Refuse
)

func (a Action) String() string {
	return [...]string{"wait", "create", "join", "start", "refuse"}[a]
}

// Decision is an action, and why.
type Decision struct {
	Action    Action
	ClusterID string // to join
	Reason    string // for people: what is waited for, from whom, and what they can do
	// Silent are those of the configured nodes that have not answered, of a node that waits for them.
	Silent []model.BrokerID
}

// Bootstrap decides what a node does at its start, given the answers of its peers so far (M5). It is asked again with
// newer answers while it says Wait.
//
// Two clusters must never come of one configuration. So only one node may create one, that with the lowest ID, and only when
// every other one has said that it is empty and was given the same nodes; those wait until they hear of its cluster.
// A node that has data starts, whoever answers. Nodes of different clusters refuse each other.
func Bootstrap(own Peer, answers []Peer) Decision {
	if d, ok := mistaken(own, answers); ok {
		return d
	}
	if own.ClusterID != "" {
		return Decision{Action: Start}
	}
	for _, a := range answers {
		if a.ClusterID != "" {
			return Decision{Action: Join, ClusterID: a.ClusterID}
		}
	}
	var silent []model.BrokerID
	var names []string
	for _, p := range configured(own) {
		heard := slices.ContainsFunc(answers, func(a Peer) bool { return a.Node == p })
		if p != own.Node && !heard {
			silent, names = append(silent, p), append(names, fmt.Sprint(p))
		}
	}
	lowest := configured(own)[0]
	switch {
	case len(silent) > 0:
		return Decision{Silent: silent, Reason: fmt.Sprintf("this directory is empty, and what node %s has is not known: start all of --peers. "+
			"If none of them has data they begin a new cluster; a cluster that exists is joined as soon as one of its nodes answers", strings.Join(names, ", "))}
	case lowest != own.Node:
		return Decision{Reason: fmt.Sprintf("all of --peers have answered that they are empty: node %d, which has the lowest ID, begins the cluster, and then this node joins it. "+
			"If it does not come to that, the log of node %d says why", lowest, lowest)}
	}
	return Decision{Action: Create}
}

// mistaken finds what must be put right by a person.
func mistaken(own Peer, answers []Peer) (Decision, bool) {
	refuse := func(format string, args ...any) (Decision, bool) {
		return Decision{Action: Refuse, Reason: fmt.Sprintf(format, args...)}, true
	}
	cluster, of := own.ClusterID, own.Node
	seen := make(map[model.BrokerID]bool)
	for _, a := range answers {
		if a.Node == own.Node {
			return refuse("another process answers as node %d: give each node an ID of its own with --node-id", a.Node)
		}
		if seen[a.Node] {
			return refuse("two of --peers answer as node %d: give each node an ID of its own with --node-id", a.Node)
		}
		seen[a.Node] = true
		if a.ClusterID != "" && cluster != "" && a.ClusterID != cluster {
			return refuse("node %d belongs to cluster %s, and node %d to cluster %s: correct --peers, or empty the data directory of the node that is to change",
				of, cluster, a.Node, a.ClusterID)
		}
		if a.ClusterID != "" {
			cluster, of = a.ClusterID, a.Node
		}
	}
	if cluster != "" {
		return Decision{}, false // lists matter only to those who begin
	}
	for _, a := range answers {
		if theirs, ours := configured(a), configured(own); !slices.Equal(theirs, ours) {
			return refuse("node %d was started with --peers %v, and this one with %v: a new cluster needs the same nodes everywhere", a.Node, theirs, ours)
		}
	}
	return Decision{}, false
}

// configured are the nodes that a node knows of, itself among them, sorted.
func configured(p Peer) []model.BrokerID {
	all := append(slices.Clone(p.Peers), p.Node)
	slices.Sort(all)
	return slices.Compact(all)
}
