package sim

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// The times of markers.
const (
	leastMarkerPause = 5 * time.Millisecond
	mostMarkerPause  = time.Second
	markerTime       = 500 * time.Millisecond // until whoever writes them says that they are not safe yet
	markerCall       = 800 * time.Millisecond
)

// carrier carries markers from coordinators of transactions to who leads the partitions, as package markers does: a queue for each node, one call
// to it at a time.
type carrier struct {
	queues map[nodeID][]*carried
	busy   map[nodeID]bool
}

// carried is one marker for one partition.
type carried struct {
	from     *seat
	of       *txn.Markers
	to       model.TopicPartition
	failures int
}

// marking has a node write markers. It is answered by an error, or nil, for each.
type marking struct{ markers []mark }

type mark struct {
	record.Marker
	to     model.TopicPartition
	raised bool
}

var errUnsafe = errors.New("the marker is not safe yet")

// carry has the markers of a transaction written.
func (n *node) carry(from *seat, of *txn.Markers) {
	items := make([]*carried, len(of.Partitions))
	for i, tp := range of.Partitions {
		items[i] = &carried{from: from, of: of, to: tp}
	}
	n.after(0, func() { n.route(items) })
	if n.w.trades.ambush {
		n.w.trades.ambush = false
		n.after(n.w.between(0, 5*time.Millisecond), func() { n.w.down(n, n.w.crashMode()) })
	}
}

// route gives markers to who leads their partitions, as far as this node knows.
func (n *node) route(items []*carried) {
	c := &n.carrier
	if c.queues == nil {
		c.queues, c.busy = make(map[nodeID][]*carried), make(map[nodeID]bool)
	}
	for _, it := range items {
		t := n.topic(it.to.Topic)
		switch {
		case it.from.over || t == nil:
		case t.Partitions[it.to.Partition].Leader == model.NoBroker:
			n.retryMarker(it)
		default:
			to := nodeID(t.Partitions[it.to.Partition].Leader)
			c.queues[to] = append(c.queues[to], it)
			n.callMarked(to)
		}
	}
}

// retryMarker routes a marker again after a pause that doubles.
func (n *node) retryMarker(it *carried) {
	n.w.stats[markersRepeated]++
	pause := min(leastMarkerPause<<min(it.failures, 10), mostMarkerPause)
	it.failures++
	n.after(pause, func() { n.route([]*carried{it}) })
}

// callMarked makes the next call to a node, if none is under way.
func (n *node) callMarked(to nodeID) {
	c := &n.carrier
	items := c.queues[to]
	if len(items) == 0 || c.busy[to] {
		return
	}
	c.busy[to] = true
	delete(c.queues, to)
	var req marking
	raised := true
	for _, it := range items {
		m := mark{to: it.to, raised: it.of.Version >= txn.V2, Marker: record.Marker{
			Type: record.Abort, CoordinatorEpoch: int32(it.from.epoch), Producer: it.of.Producer.ID, ProducerEpoch: it.of.Producer.Epoch, TimestampMs: n.now().UnixMilli(),
		}}
		if it.of.Commit {
			m.Type = record.Commit
		}
		raised = raised && m.raised
		req.markers = append(req.markers, m)
	}
	n.confer(to, req, markerCall, func(answer any) {
		c.busy[to] = false
		errs, _ := answer.([]error)
		for i, it := range items {
			if errs == nil || errs[i] != nil {
				n.retryMarker(it)
				continue
			}
			n.written(it)
			if n.w.net.echo > 0 && n.w.one(4) { // it is told so once more
				n.after(n.w.between(0, 2*time.Second), func() { n.written(it) })
			}
		}
		n.callMarked(to)
	})
	if raised && n.w.net.echo > 0 && n.w.chance(n.w.net.echo) { // it lay about somewhere. What has no epoch of its own must not.
		n.w.after(n.w.between(0, 2*time.Second), func() {
			if e := n.w.endpoint(to); e != nil {
				e.serve(n.id, req, func(any) {})
			}
		})
	}
}

// written tells a coordinator of a marker that is safe.
func (n *node) written(it *carried) {
	parts := []model.TopicPartition{it.to}
	if n.w.bugs.hastyComplete {
		parts = it.of.Partitions
	}
	if s := it.from; !s.over {
		s.shard.Do(n.now(), func(now time.Time) shard.Result { return s.machine.(*txn.Machine).Written(now, it.of, parts) }, func(error) {})
	}
}

// confer asks another node something over a connection of its own. then runs in this process, once, with nil if there was no answer in time.
func (n *node) confer(to nodeID, req any, patience time.Duration, then func(answer any)) {
	w, over, birth := n.w, false, n.birth
	var c *conn
	finish := func(answer any) {
		if !over && n.birth == birth {
			over = true
			n.guard(func() { then(answer) })()
		}
	}
	if to == n.id {
		n.after(0, func() {
			n.handle(req, func(answer any) { n.after(0, func() { finish(answer) }) })
		})
		n.after(patience, func() { finish(nil) })
		return
	}
	c = w.net.dial(n.id, to, func(end nodeID, msg any) {
		if end == n.id {
			finish(msg)
			c.breakOff()
		} else if e := w.endpoint(to); e != nil {
			e.serve(n.id, msg, func(answer any) { c.send(to, answer) })
		} else {
			c.breakOff()
		}
	}, func(end nodeID) {
		if end == n.id {
			finish(nil)
		}
	})
	w.after(patience, c.breakOff)
	c.send(n.id, req)
}

// mark writes markers, and answers when all are safe, or it has waited for long.
func (n *node) mark(m marking, reply func(any)) {
	errs, left, told := make([]error, len(m.markers)), len(m.markers), false
	tell := func() {
		if !told {
			told = true
			reply(slices.Clone(errs))
		}
	}
	for i, k := range m.markers {
		errs[i] = errUnsafe
		n.markOne(&k, func(err error) {
			errs[i] = err
			if left--; left == 0 {
				tell()
			}
		})
	}
	n.after(markerTime, tell)
}

// markOne writes a marker. Offsets of groups are in memory, too: theirs are written by who has that.
func (n *node) markOne(k *mark, done func(error)) {
	if k.to.Topic == schema.Groups.Name {
		for _, r := range n.replicas {
			if r.topic == k.to.Topic && r.num == k.to.Partition && r.seat != nil {
				r.seat.ask(*k, func(out any, err error) {
					if no, ok := out.(error); ok && err == nil {
						err = no
					}
					done(err)
				})
				return
			}
		}
		done(shard.ErrNotCoordinator)
		return
	}
	t := n.topic(k.to.Topic)
	if t == nil {
		done(refusal(unknownTopic))
		return
	}
	if r, c := n.leads(t.ID, k.to.Partition); c != okay {
		done(refusal(c))
	} else {
		r.appendMarker(k, done)
	}
}
