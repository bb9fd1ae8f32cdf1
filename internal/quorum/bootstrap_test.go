package quorum

import (
	"strings"
	"testing"

	"chronik/internal/model"
)

// TestBootstrap is the table of M5.
func TestBootstrap(t *testing.T) {
	nodes := func(ids ...model.BrokerID) []model.BrokerID { return ids }
	empty := func(n model.BrokerID) Peer { return Peer{Node: n, Peers: nodes(1, 2, 3)} }
	in := func(n model.BrokerID, cluster string) Peer {
		return Peer{Node: n, Peers: nodes(1, 2, 3), ClusterID: cluster}
	}
	for name, c := range map[string]struct {
		own     Peer
		answers []Peer
		want    Action
		cluster string
		reason  string
	}{
		"alone with nobody":                   {Peer{Node: 1}, nil, Create, "", ""},
		"all empty, lowest":                   {empty(1), []Peer{empty(3), empty(2)}, Create, "", ""},
		"all empty, not lowest":               {empty(2), []Peer{empty(1), empty(3)}, Wait, "", "node 1"},
		"one silent":                          {empty(1), []Peer{empty(2)}, Wait, "", "node 3"},
		"all silent":                          {empty(1), nil, Wait, "", "node 2, 3"},
		"empty, one is in a cluster":          {empty(1), []Peer{empty(2), in(3, "a")}, Join, "a", ""},
		"empty, one is, others silent":        {empty(2), []Peer{in(3, "a")}, Join, "a", ""},
		"empty, a majority lost its disks":    {empty(1), []Peer{empty(2), in(3, "a")}, Join, "a", ""},
		"data, all silent":                    {in(2, "a"), nil, Start, "", ""},
		"data, others empty":                  {in(2, "a"), []Peer{empty(1), empty(3)}, Start, "", ""},
		"data, others with it":                {in(2, "a"), []Peer{in(1, "a"), in(3, "a")}, Start, "", ""},
		"data, another cluster":               {in(2, "a"), []Peer{empty(1), in(3, "b")}, Refuse, "", "cluster b"},
		"empty, two clusters":                 {empty(2), []Peer{in(1, "a"), in(3, "b")}, Refuse, "", "cluster b"},
		"the same node twice":                 {empty(1), []Peer{empty(2), empty(2)}, Refuse, "", "--node-id"},
		"somebody else is this node":          {empty(1), []Peer{empty(1)}, Refuse, "", "--node-id"},
		"another list of peers":               {empty(1), []Peer{{Node: 2, Peers: nodes(2, 3)}, empty(3)}, Refuse, "", "same nodes"},
		"another list of peers, but data":     {in(1, "a"), []Peer{{Node: 2, Peers: nodes(2, 3)}}, Start, "", ""},
		"another list of peers, but joining":  {empty(1), []Peer{{Node: 2, Peers: nodes(2), ClusterID: "a"}}, Join, "a", ""},
		"the own node is not in the own list": {Peer{Node: 1, Peers: nodes(2, 3)}, []Peer{empty(2), empty(3)}, Create, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := Bootstrap(c.own, c.answers)
			if named := strings.Contains(d.Reason, "not known"); named != (len(d.Silent) > 0) {
				t.Errorf("silent are %v, and it says %q", d.Silent, d.Reason)
			}
			if d.Action != c.want || d.ClusterID != c.cluster || !strings.Contains(d.Reason, c.reason) {
				t.Errorf("%+v, want %v %q %q", d, c.want, c.cluster, c.reason)
			}
		})
	}
}

// TestBootstrapMakesOneCluster: whatever subset hears of whom, at most one node creates a cluster, and nobody creates one while
// another has data.
func TestBootstrapMakesOneCluster(t *testing.T) {
	lists := [][]model.BrokerID{{1, 2, 3}, {1, 2}, {2, 3}, {1, 3}}
	for choice := range len(lists) * len(lists) * len(lists) * 8 * 64 {
		var peers []Peer
		c := choice
		for n := range 3 {
			p := Peer{Node: model.BrokerID(n + 1), Peers: lists[c%len(lists)]}
			c /= len(lists)
			if c%2 == 1 {
				p.ClusterID = "a"
			}
			c /= 2
			peers = append(peers, p)
		}
		created, data := 0, 0
		for n, own := range peers {
			var answers []Peer
			for o, p := range peers {
				if o != n && c%2 == 1 {
					answers = append(answers, p)
				}
				if o != n {
					c /= 2
				}
			}
			if own.ClusterID != "" {
				data++
			}
			if Bootstrap(own, answers).Action == Create {
				created++
			}
		}
		if created > 1 || created == 1 && data > 0 && sameLists(peers) {
			t.Fatalf("%d create a cluster, %d have data: %+v", created, data, peers)
		}
	}
}

func sameLists(peers []Peer) bool {
	for _, p := range peers {
		if len(configured(p)) != 3 {
			return false
		}
	}
	return true
}
