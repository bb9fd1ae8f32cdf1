package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/model"
)

const (
	lagTime  = 2 * time.Second
	retry    = 100 * time.Millisecond
	patience = 500 * time.Millisecond

	controllerID model.BrokerID = 99
)

// What travels besides the messages of the package.
type (
	outcome struct {
		number  uint64
		outcome Outcome
		state   State
	}
	resign   struct{ epoch model.LeaderEpoch }
	linkLost struct{}
	envelope struct {
		from, to model.BrokerID
		body     any
	}
	epochStart struct {
		epoch model.LeaderEpoch
		start model.Offset
	}
	place struct {
		off   model.Offset
		epoch model.LeaderEpoch
	}
)

// counts says what a run exercised.
type counts struct {
	elections, eligible, truncations, restarts, torn, shrinks, expands, kept, conflicts, resigned, wiped, acked, committed int
}

// world is one seed's cluster: a partition, its replicas, the controller and the network between them.
type world struct {
	rng    *rand.Rand
	now    time.Time
	nodes  []*node
	ctl    *toyController
	net    []envelope
	held   []envelope   // messages that will arrive much later
	past   [24]envelope // some that were sent at some time
	broken broken

	lagEntries                       int64
	pace                             int     // milliseconds per tick, at most
	drop, double, mix, late, trouble float64 // how bad this seed's world is

	payload uint32
	truth   []entry // all that was ever below a leader's watermark (R2)
	bytes   map[place]uint32
	led     map[model.LeaderEpoch]bool
	starts  []epochStart
	highest map[model.LeaderEpoch]model.Offset

	count   counts
	failure string
	trace   *strings.Builder // nil: not wanted
}

// newWorld makes the world of a seed. breakIt, if not nil, breaks a rule in it.
func newWorld(seed uint64, breakIt func(*world), trace *strings.Builder) *world {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	w := &world{
		rng: rng, now: time.Unix(1_700_000_000, 0), trace: trace,
		bytes: map[place]uint32{}, led: map[model.LeaderEpoch]bool{}, highest: map[model.LeaderEpoch]model.Offset{},
		drop: rng.Float64() * 0.04, double: rng.Float64() * 0.2, mix: rng.Float64() * 0.2, late: rng.Float64() * 0.15, trouble: rng.Float64(),
	}
	w.pace = 20 + rng.IntN(400)
	if rng.IntN(4) == 0 {
		w.lagEntries = int64(rng.IntN(20) + 5)
	}
	brokers := 3 + rng.IntN(3)
	w.ctl = newController(rng, brokers, 1+rng.IntN(3), &w.count)
	if breakIt != nil {
		breakIt(w)
	}
	for id := range model.BrokerID(brokers) {
		w.nodes = append(w.nodes, &node{w: w, id: id, epoch: model.BrokerEpoch(id)})
	}
	for _, n := range w.nodes {
		n.boot(n.epoch)
		n.settle()
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// send puts a message on its way: it may get lost, which breaks the link, or arrive twice.
func (w *world) send(from, to model.BrokerID, body any) {
	w.say("    %d -> %d %T%+v", from, to, body, body)
	if w.rng.Float64() < w.drop {
		if p, ok := body.(Proposal); ok {
			w.net = append(w.net, envelope{controllerID, from, outcome{number: p.Number, outcome: Unanswered}})
		}
		w.net = append(w.net, envelope{from, to, linkLost{}}, envelope{to, from, linkLost{}})
		return
	}
	m := envelope{from, to, body}
	switch body.(type) {
	case Ack, Batches:
		w.past[w.rng.IntN(len(w.past))] = m
	}
	if w.rng.Float64() < w.late {
		w.held = append(w.held, m)
	} else {
		w.net = append(w.net, m)
	}
	if w.rng.Float64() < w.double {
		if w.rng.IntN(2) == 0 {
			w.held = append(w.held, m)
		} else {
			w.net = append(w.net, m)
		}
	}
}

// release lets a message go on that was held for long, or brings one back from the past.
func (w *world) release() {
	if m := w.past[w.rng.IntN(len(w.past))]; m.body != nil && w.rng.IntN(2) == 0 {
		w.net = append(w.net, m)
		return
	}
	if len(w.held) > 0 {
		i := w.rng.IntN(len(w.held))
		w.net = append(w.net, w.held[i])
		w.held = slices.Delete(w.held, i, i+1)
	}
}

// deliver lets one message arrive: mostly the oldest of some link, sometimes any.
func (w *world) deliver() {
	if len(w.net) == 0 {
		return
	}
	i := w.rng.IntN(len(w.net))
	if w.rng.Float64() >= w.mix {
		m := w.net[i]
		i = slices.IndexFunc(w.net, func(o envelope) bool { return o.from == m.from && o.to == m.to })
	}
	w.arrive(i)
}

func (w *world) arrive(i int) {
	m := w.net[i]
	w.net = slices.Delete(w.net, i, i+1)
	w.say("  %d <- %d %T%+v", m.to, m.from, m.body, m.body)
	if m.to == controllerID {
		w.decide(m)
		return
	}
	if n := w.node(m.to); n != nil && n.up {
		n.receive(m.from, m.body)
	}
}

// decide is the controller's part.
func (w *world) decide(m envelope) {
	switch b := m.body.(type) {
	case Proposal:
		o, s := w.ctl.alter(m.from, &b)
		w.send(controllerID, m.from, outcome{b.Number, o, s})
	case resign:
		if v := w.ctl.last(); v.state.Leader == m.from && v.state.LeaderEpoch == b.epoch {
			w.ctl.move()
		}
	}
}

func (w *world) node(id model.BrokerID) *node {
	if id < 0 || int(id) >= len(w.nodes) {
		return nil
	}
	return w.nodes[id]
}

func (w *world) any() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }

// run is a seed's whole life: some steps in trouble, then peace, in which everything has to come right. It returns what went wrong.
func (w *world) run(steps int) (failure string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case invariant.Violation:
			w.fail("%s", r.What)
			failure = w.failure
		default:
			panic(r)
		}
	}()
	for i := 0; i < steps && w.failure == ""; i++ {
		w.step()
		w.afterStep()
	}
	if w.failure == "" {
		w.heal()
	}
	return w.failure
}

func (w *world) afterStep() {
	for _, n := range w.nodes {
		if n.up {
			n.settle()
		}
	}
	w.check()
}

// step lets one thing happen.
func (w *world) step() {
	n := w.any()
	switch k := w.rng.IntN(107); {
	case k < 32:
		w.deliver()
	case k < 42:
		if n.up && n.seen < len(w.ctl.versions) {
			w.say("%d learns version %d", n.id, n.seen)
			n.learn()
		}
	case k < 54:
		acks := int16(-1)
		if w.rng.IntN(4) == 0 {
			acks = 1
		}
		for _, n := range w.nodes {
			if n.up && n.leader != nil && w.rng.IntN(2) == 0 {
				n.produce(acks)
			}
		}
	case k < 66:
		if n.up && !n.slow && n.cutting == nil && n.log.synced < n.log.end() {
			n.log.synced += 1 + model.Offset(w.rng.IntN(int(n.log.end()-n.log.synced)))
			w.say("%d synced to %d of %d", n.id, n.log.synced, n.log.end())
			n.moved()
		}
	case k < 78:
		for _, n := range w.nodes {
			if to := w.any(); n.up && n.leader != nil && n != to {
				n.stream(to.id, 1+w.rng.IntN(4))
			}
		}
	case k < 86:
		if n.up && n.follower != nil {
			n.acknowledge()
		}
	case k < 90:
		w.tick(time.Duration(w.rng.IntN(w.pace)) * time.Millisecond)
	case k < 92:
		w.release()
	case k >= 104:
		w.release()
	case k < 94:
		if n.up && n.cutting != nil {
			n.cut()
		}
	default:
		if w.rng.Float64() < w.trouble {
			w.hurt(n)
		}
	}
}

func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	for _, n := range w.nodes {
		switch {
		case !n.up:
		case n.leader != nil:
			n.leader.Tick(w.now)
		default:
			n.follower.Tick(w.now)
		}
	}
}

// hurt lets one thing go wrong.
func (w *world) hurt(n *node) {
	switch k := w.rng.IntN(28); {
	case k < 3:
		if n.up {
			w.say("%d crashes", n.id)
			n.crash()
		}
	case k < 9:
		w.restart(n)
	case k < 11:
		if !n.up || w.rng.IntN(3) == 0 {
			w.say("%d is fenced", n.id)
			w.ctl.fence(n.id)
		}
	case k < 13:
		if n.up {
			w.ctl.unfence(n.id)
		}
	case k < 14 && w.rng.IntN(4) == 0:
		w.say("all crash")
		for _, n := range w.nodes {
			if n.up {
				n.crash()
			}
		}
	case k < 15 || k == 25:
		w.say("election")
		w.ctl.move()
	case k < 17:
		to := w.any()
		w.net = append(w.net, envelope{n.id, to.id, linkLost{}}, envelope{to.id, n.id, linkLost{}})
	case k < 18:
		if n.up && n.leader != nil {
			hw := n.leader.HighWatermark()
			if hw > n.log.start {
				n.log.trim(n.log.start + 1 + model.Offset(w.rng.IntN(int(hw-n.log.start))))
				w.say("%d deletes to %d", n.id, n.log.start)
				n.moved()
			}
		}
	case k < 19:
		if n.up && n.leader != nil {
			n.receive(controllerID, outcome{number: n.leader.asked.number, outcome: Unanswered})
		}
	case k < 20 && w.rng.IntN(3) == 0:
		w.full(n)
	case k < 20:
		w.fenceDoubtful()
	case k >= 26:
		for _, n := range w.nodes { // back before anybody has missed it (R1)
			if n.up && n.leader != nil {
				w.say("%d crashes", n.id)
				n.crash()
				w.restart(n)
			}
		}
	case k < 22:
		n.slow = true
	case k < 25:
		n.slow = false
	}
}

// fenceDoubtful fences a broker while it is proposed as a member.
func (w *world) fenceDoubtful() {
	for _, n := range w.nodes {
		for i := 0; n.up && n.leader != nil && i < len(n.leader.peers); i++ {
			if p := &n.leader.peers[i]; p.doubtful() {
				w.say("%d is fenced before it has joined", p.id)
				w.ctl.fence(p.id)
				return
			}
		}
	}
}

// full lets a disk run out of space: what was not written is cut off (D3).
func (w *world) full(n *node) {
	if !n.up || n.cutting != nil || n.log.synced == n.log.end() {
		return
	}
	to := n.log.synced + model.Offset(w.rng.IntN(int(n.log.end()-n.log.synced)))
	w.say("%d has no space and cuts %d to %d", n.id, n.log.end(), to)
	n.log.cut(to)
	n.waiters = slices.DeleteFunc(n.waiters, func(o waiter) bool { return o.off >= to })
	if n.follower != nil {
		n.follower.AppendFailed(n.log.own(), w.now)
		return
	}
	n.moved()
}

func (w *world) restart(n *node) {
	if !n.up {
		v := w.ctl.last()
		wiped := w.rng.IntN(12) == 0 && !slices.Equal(v.state.ISR, []model.BrokerID{n.id}) && !w.ctl.reuse
		if wiped {
			n.log, n.kept = toyLog{}, 0
			w.count.wiped++
		}
		w.say("%d starts, wiped %v", n.id, wiped)
		n.boot(w.ctl.register(n.id, wiped))
	}
}
