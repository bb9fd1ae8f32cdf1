package sim

import (
	"fmt"
	"time"
)

// nodeID names who sends and receives: brokers from 1 on, clients from firstClient on, nobody is 0.
type nodeID int32

const firstClient nodeID = 100

func (n nodeID) String() string {
	switch {
	case n == 0:
		return "world"
	case n >= firstClient:
		return fmt.Sprintf("client%d", n-firstClient)
	}
	return fmt.Sprintf("node%d", n)
}

// direction is one way between two.
type direction struct{ from, to nodeID }

// weather is how a direction treats messages.
type weather struct {
	cut       bool          // nothing passes
	delay     time.Duration // of every message
	jitter    time.Duration // up to so much more, drawn for each: so they overtake each other
	drop      float64       // probability that one is lost
	duplicate float64       // and that it comes twice
}

// network carries messages. A message is delivered to the receiver's incarnation of the moment, or not at all.
type network struct {
	w       *world
	calm    weather // of directions without their own
	special map[direction]weather
	echo    float64 // probability that a call comes once more, much later
	lost    int     // messages
	twice   int
	conns   []*conn
}

func (n *network) weather(d direction) weather {
	if w, ok := n.special[d]; ok {
		return w
	}
	return n.calm
}

func (n *network) set(d direction, w weather) { n.special[d] = w }

// unset makes a direction as good as others.
func (n *network) unset(d direction) { delete(n.special, d) }

// clear makes the network as good as it was.
func (n *network) clear() { clear(n.special) }

// latency draws how long a message takes.
func (n *network) latency(wt *weather) time.Duration {
	d := wt.delay
	if wt.jitter > 0 {
		d += time.Duration(n.w.rng.Int64N(int64(wt.jitter)))
	}
	return max(d, time.Microsecond)
}

// send carries a datagram: it may be lost, come twice, or late. deliver runs if it arrives.
func (n *network) send(from, to nodeID, deliver func()) {
	d := direction{from, to}
	wt := n.weather(d)
	copies := 1
	switch {
	case wt.cut || wt.drop > 0 && n.w.rng.Float64() < wt.drop:
		n.lost++
		return
	case wt.duplicate > 0 && n.w.rng.Float64() < wt.duplicate:
		n.twice++
		copies = 2
	}
	for i := range copies {
		late := n.latency(&wt)
		if i > 0 && n.w.one(2) {
			late += n.w.between(0, 2*time.Second) // an echo
		}
		n.w.after(late, func() {
			if !n.weather(d).cut { // a cable that was pulled takes what is in it along
				deliver()
			}
		})
	}
}

// conn is a connection: what is sent on it arrives in order, or the connection breaks and nothing more arrives. Both ends
// learn of it, not at the same time.
type conn struct {
	n        *network
	a, b     nodeID // a dialled b
	broken   bool
	arrival  [2]time.Duration // of the last message sent from a, from b
	received func(to nodeID, msg any)
	closed   func(end nodeID)
}

// stallToBreak is how long a connection keeps trying before it gives up, as its keep-alive and write timeouts say.
const stallToBreak = 400 * time.Millisecond

// dial opens a connection. The callbacks run at each end, as events.
func (n *network) dial(a, b nodeID, received func(to nodeID, msg any), closed func(end nodeID)) *conn {
	c := &conn{n: n, a: a, b: b, received: received, closed: closed}
	n.conns = append(n.conns, c)
	return c
}

func (c *conn) peer(of nodeID) nodeID {
	if of == c.a {
		return c.b
	}
	return c.a
}

// send puts a message into the stream. A lost packet is sent again, so it arrives late; a direction that is cut breaks the
// connection.
func (c *conn) send(from nodeID, msg any) {
	if c.broken {
		return
	}
	n, to := c.n, c.peer(from)
	d := direction{from, to}
	wt := n.weather(d)
	if wt.cut {
		n.w.after(stallToBreak, func() { c.breakOff() })
		return
	}
	i := 0
	if from == c.b {
		i = 1
	}
	at := n.w.now + n.latency(&wt)
	if wt.drop > 0 && n.w.rng.Float64() < wt.drop {
		n.lost++
		at += 200 * time.Millisecond // TCP's retransmission
	}
	_, between := msg.(streamed)
	if between && wt.duplicate > 0 && n.w.rng.Float64() < wt.duplicate { // an echo: late, and even from a connection that is no more
		n.twice++
		n.w.after(n.w.between(0, 3*time.Second), func() {
			if !n.weather(d).cut {
				c.received(to, msg)
			}
		})
	}
	at = max(at, c.arrival[i])
	c.arrival[i] = at
	n.w.at(at, func() {
		switch {
		case c.broken:
		case n.weather(d).cut:
			c.breakOff()
		default:
			c.received(to, msg)
		}
	})
}

// breakOff ends the connection; both ends hear of it.
func (c *conn) breakOff() {
	if c.broken {
		return
	}
	c.broken = true
	n := c.n
	for i, o := range n.conns {
		if o == c {
			n.conns = append(n.conns[:i], n.conns[i+1:]...)
			break
		}
	}
	for _, end := range [2]nodeID{c.a, c.b} {
		n.w.after(time.Duration(n.w.rng.Int64N(int64(time.Millisecond))), func() { c.closed(end) })
	}
}

// breakOf ends all connections of a node: it died.
func (n *network) breakOf(id nodeID) {
	for _, c := range append([]*conn(nil), n.conns...) {
		if c.a == id || c.b == id {
			c.breakOff()
		}
	}
}
