package sim

import (
	"strconv"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/wal"
)

const topicName = "orders"

// office is where the controller sits in worlds that have no quorum.
const office nodeID = 90

// cluster fills a world with nodes, and with one controller that never fails and that all of them can lose sight of.
func (w *world) cluster(size int) {
	w.plain = w.one(3) || w.plain
	w.topics = []string{topicName}
	if !w.plain {
		size += max(0, w.rng.IntN(4)-1) // 3, 3, 4 or 5
		if w.one(3) {
			w.topics = append(w.topics, "audit")
		}
	}
	w.alone = !w.plain && w.one(6)
	if !w.alone {
		w.relax()
	}
	w.share = w.share || !w.plain && w.one(2)
	w.lagging = w.lagging || !w.plain && w.one(8)
	w.grouped = w.grouped || !w.plain && !w.one(3)
	w.transacted = w.transacted || !w.plain && w.trades.drawn(w.seed)
	w.trades.market = w.trades.market || w.transacted && !w.one(5)
	w.net.calm = weather{delay: 200 * time.Microsecond, jitter: time.Duration(1+w.rng.IntN(5)) * time.Millisecond / 2}
	if w.one(2) {
		w.net.calm.duplicate, w.net.echo = 0.03, 0.3
	}
	w.logConfig = wal.DefaultConfig()
	w.logConfig.SegmentBytes = int64(12<<10 + w.rng.IntN(32<<10))
	w.logConfig.IndexIntervalBytes = int64(256 + w.rng.IntN(4096))
	w.logConfig.RetentionBytes = -1
	if w.one(3) {
		w.logConfig.RetentionBytes = int64(4<<10 + w.rng.IntN(48<<10))
	}
	w.logConfig.RetentionMs, w.logConfig.ProducerExpiryMs = -1, 0
	minISR := 1 + w.rng.IntN(2)
	if w.coordinated() && !w.plain && !w.one(3) {
		minISR = 2 // so that coordinators are refused now and then
	}
	w.replication = replication.Config{MinISR: minISR, LagTime: lagTime, Retry: retryEvery}
	if w.one(4) {
		w.replication.LagEntries = int64(5 + w.rng.IntN(40))
	}
	w.nodes = make([]*node, 1, size+1)
	for i := range size {
		w.nodes = append(w.nodes, newNode(w, nodeID(i+1)))
	}
	w.static = map[string]string{"min.insync.replicas": strconv.Itoa(minISR)}
	w.truth = image.New(clusterID)
	if w.plain || w.one(2) {
		w.balance = w.between(100*time.Millisecond, time.Second)
	}
	w.quorate, w.snapshotEvery = true, uint64(10+w.rng.IntN(100))
	if !w.alone && w.one(4) {
		w.quorate = false
		w.openOffice()
	}
	for _, n := range w.nodes[1:] {
		n.start()
	}
}

// openOffice makes the controller.
func (w *world) openOffice() {
	a := &authority{
		w: w, self: office, sessions: controller.NewSessions(sessionTimeout, controlTick),
		static: w.static,
		image:  func() *image.Image { return w.truth },
		now:    func() time.Time { return epochStart.Add(w.now) },

		confirm: func(then func()) { then() },
	}
	a.propose = func(commands []*command.Command, done func(error)) {
		im, _, err := image.Apply(w.truth, commands, 1, w.truth.Index()+1)
		if err != nil {
			w.fail("M4", "the controller's commands do not fit its own image: %v", err)
			return
		}
		w.committed(im)
		for _, n := range w.nodes[1:] {
			w.net.send(office, n.id, func() { n.guard(func() { n.adopt(im) })() })
		}
		done(nil)
	}
	a.form()
	serve := endpointFunc(func(_ nodeID, req any, reply func(any)) {
		a.serve(req, func(answer controlAnswer) { reply(answer) })
	})
	w.office = &serve
	var tick func()
	tick = func() { a.tick(); w.after(controlTick, tick) }
	tick()
}

// controllerNode is who the node takes for the active controller.
func (n *node) controllerNode() nodeID {
	if n.voter == nil {
		return office
	}
	if r, _, known := n.voter.member.Leader(); known {
		return nodeID(r.Node)
	}
	return n.w.someNode()
}

// handleControl answers what only the active controller can.
func (n *node) handleControl(req any, reply func(any)) {
	if n.alone != nil {
		n.alone.serve(req, reply)
		return
	}
	if n.voter == nil || n.voter.acting == nil {
		reply(controlAnswer{inactive: true})
		return
	}
	n.voter.acting.serve(req, func(a controlAnswer) { reply(a) })
}

// committed notes a new state of the metadata, and looks whether everybody who may be elected by it can be.
func (w *world) committed(im *image.Image) {
	old := w.truth
	w.truth = im
	for _, l := range w.order {
		t := im.TopicByID(l.key.id)
		if t == nil {
			l.orphans(old)
			continue
		}
		p := t.Partitions[l.key.num]
		if o := old.TopicByID(l.key.id); o != nil {
			q := o.Partitions[l.key.num]
			l.left(q, p, old, im)
			if p == q {
				continue
			}
			w.note(0, "partition epoch %d: leader %d, epoch %d, ISR %d, ELR %d, cut %d", int64(p.PartitionEpoch), int64(p.Leader), int64(p.LeaderEpoch), digits(p.ISR), digits(p.ELR), int64(len(p.Cut)))
			if len(p.ISR) < len(q.ISR) {
				w.stats[isrShrinks]++
			}
			if len(p.ISR) > len(q.ISR) {
				w.stats[isrExpands]++
			}
			l.kept(old, im)
			l.elected(q, p, old, im)
		}
		l.covered()
	}
}

// dropGone closes and removes the partitions that an image no longer has on this node.
func (n *node) dropGone(im *image.Image) {
	keep := n.replicas[:0]
	for _, r := range n.replicas {
		if t := im.TopicByID(r.id); t != nil && holdsReplica(t.Partitions[r.num], n.broker()) {
			keep = append(keep, r)
			continue
		}
		r.stopRoles()
		if r.seat != nil {
			r.seat.end()
		}
		r.discard()
	}
	n.replicas = keep
}

// discard takes the log of a partition that is gone off the disk (L5).
func (r *replica) discard() {
	if r.log == nil {
		return
	}
	n := r.n
	n.free(r.log)
	r.log.Abandon(nil)
	n.disk.remove(r.topic, r.num)
	*r.shadow = shadow{gone: true}
	r.log = nil
}

// workload starts clients.
func (w *world) workload() {
	for _, name := range w.topics {
		w.createTopic(name)
	}
	id := firstClient + 1
	for i := range 2 + w.rng.IntN(3) {
		p := &producer{client: client{w: w, id: id, topic: w.topics[i%len(w.topics)]}, idempotent: model.NoProducer,
			acks: []int8{-1, -1, 1, 0}[w.rng.IntN(4)], window: 1, pause: w.between(2*time.Millisecond, 40*time.Millisecond),
			patience: w.between(300*time.Millisecond, 2*time.Second), size: 8 + w.rng.IntN(100)}
		if w.one(2) {
			p.size = 3000
		}
		if i == 0 {
			p.acks = -1
		}
		if p.acks != 0 && w.one(2) || i == 0 {
			p.idempotent, p.window = model.ProducerID(1000+i), 1+w.rng.IntN(5)
		}
		id++
		w.producers = append(w.producers, p)
		p.start()
	}
	for i := range 1 + w.rng.IntN(2) {
		c := &consumer{client: client{w: w, id: id, topic: w.topics[i%len(w.topics)]}, near: w.one(2), pause: w.between(time.Millisecond, 100*time.Millisecond)}
		id++
		w.consumers = append(w.consumers, c)
		c.start()
	}
	w.groups.offsets = make(map[offsetKey]*account)
	for _, name := range w.inner() {
		w.createTopic(name)
	}
	if w.grouped {
		id = w.groupWorkload(id)
	}
	if w.transacted {
		w.trade(id)
	}
	if w.quorate {
		w.audit()
	}
}

// digits writes brokers as one number, to be read by people: 1 and 3 are 13.
func digits(ids []model.BrokerID) (n int64) {
	for _, id := range ids {
		n = 10*n + int64(id)
	}
	return n
}
