package sim

import "chronik/internal/model"

// link returns the connection to a leader, made if there is none.
func (n *node) link(to nodeID) *conn {
	if c := n.links[to]; c != nil {
		return c
	}
	peer := n.w.nodes[to]
	var c *conn
	mine := n.birth
	c = n.w.net.dial(n.id, to, func(end nodeID, msg any) {
		switch {
		case end == n.id && n.birth == mine:
			n.guard(func() { n.fromLeader(to, msg.(streamed)) })()
		case end == to && peer.up:
			peer.guard(func() {
				if !c.broken {
					peer.callers[n.id] = c
				}
				peer.fromFollower(n.id, msg.(streamed))
			})()
		default:
			c.breakOff()
		}
	}, func(end nodeID) {
		if end == n.id && n.birth == mine {
			n.guard(func() { n.linkLost(to, c) })()
		} else if end == to {
			peer.guard(func() { peer.callerLost(n.id, c) })()
		}
	})
	n.links[to] = c
	return c
}

func (n *node) linkLost(to nodeID, c *conn) {
	if n.links[to] != c {
		return
	}
	delete(n.links, to)
	for _, r := range n.replicas {
		if r.follower != nil {
			if leader, _ := r.follower.Leader(); nodeID(leader) == to {
				r.follower.LinkLost(n.now())
			}
		}
	}
}

func (n *node) callerLost(from nodeID, c *conn) {
	if n.callers[from] == c {
		delete(n.callers, from)
	}
	for _, r := range n.replicas {
		if a, ok := r.askedBy[from]; ok && a.link == c && r.leader != nil {
			r.leader.LinkLost(model.BrokerID(from), a.number)
		}
	}
}

// streamed is a message of a partition's stream.
type streamed struct {
	id  model.TopicID
	num int32
	msg any
}
