package sim

import (
	"slices"
	"time"

	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// fault is one thing that goes wrong. weight is how often, beside the others; each schedule has its own.
type fault struct {
	name   string
	weight int
	strike func(w *world)
	admin  bool // somebody's will
}

const (
	allLosePower = "all lose power"
	wipedDisk    = "wiped disk"
	bitFlip      = "bit flip"
	coordinator  = "coordinator crash"
	stockAnew    = "stock made anew"
	stockCleared = "stock cleared"
	// darkness is its weight where a topic has relaxed its flushing.
	darkness = 30
)

var faults = []fault{
	{"crash", 10, (*world).crashOne, false},
	{"crash in flight", 25, func(w *world) { w.draw().armed = true }, false},
	{"kill", 6, func(w *world) { w.down(w.draw(), crashfs.Keep) }, false},
	{allLosePower, 4, (*world).crashAll, false},
	{"clean stop", 5, (*world).stopOne, false},
	{"pause", 8, func(w *world) { w.draw().pause(w.between(10*time.Millisecond, 3*time.Second)) }, false},
	{"partition", 8, (*world).isolate, false},
	{"one way", 8, (*world).oneWay, false},
	{"parted leader", 8, (*world).partLeader, false},
	{"rain", 8, (*world).rain, false},
	{"slow disk", 6, func(w *world) { w.draw().disk.slow = w.between(time.Millisecond, 100*time.Millisecond) }, false},
	{"stalled disk", 6, func(w *world) { w.draw().disk.stall = w.now + w.between(100*time.Millisecond, 5*time.Second) }, false},
	{"failing sync", 3, func(w *world) { w.draw().disk.failNext(faultfs.OpSync) }, false},
	{"failing write", 3, func(w *world) { w.draw().disk.failNext(faultfs.OpWrite) }, false},
	{"full disk", 5, (*world).fillOne, false},
	{wipedDisk, 3, (*world).wipeOne, false},
	{bitFlip, 3, (*world).flipOne, false},
	{"clock jump", 4, func(w *world) { w.draw().skew += w.between(-10*time.Minute, 10*time.Minute) }, false},
	{"topic made anew", 3, (*world).recreate, true},
	{"reassignment", 12, (*world).reassign, true},
	{"node replaced", 6, (*world).retire, true},
	{coordinator, 10, (*world).crashCoordinator, false},
	{"records deleted", 5, (*world).deleteRecords, true},
	{stockAnew, 12, (*world).restock, true},
	{stockCleared, 24, (*world).clearStock, true},
	{"healing", 12, (*world).heal, false},
}

// schedule is one run: a workload under faults for so many events, then time to heal, then the last questions.
func (w *world) schedule(events int) {
	w.cluster(3)
	w.workload()
	weights := make([]int, len(faults))
	for i, f := range faults {
		if !w.one(4) && !(f.admin && w.plain) { // most kinds in each schedule, not all
			weights[i] = 1 + w.rng.IntN(2*f.weight)
		}
		switch {
		case f.name == coordinator && !w.coordinated(), (f.name == stockAnew || f.name == stockCleared) && !w.transacted:
			weights[i] = 0
		case f.name == stockAnew && w.trades.restocks:
			weights[i] = f.weight
		case len(w.flush) > 0 && f.name == allLosePower:
			weights[i] = darkness // relaxed topics lose something only if all who have it do
		case !w.plain && (f.name == wipedDisk || f.name == bitFlip):
			weights[i] *= 4 // mostly nobody's disk can be spared
		}
	}
	pace := w.between(20*time.Millisecond, 300*time.Millisecond)
	var next func()
	next = func() {
		if w.calm {
			return
		}
		if i, ok := w.weighted(weights); ok {
			w.note(0, "fault: "+faults[i].name)
			faults[i].strike(w)
		}
		w.after(w.between(0, 2*pace), next)
	}
	w.until(5*time.Second, func() bool { return w.lastAck > 0 })
	if w.transacted {
		w.until(5*time.Second, w.trades.begun)
		events += w.ran // to come
	}
	if w.alone {
		w.after(w.between(0, 2*time.Second), w.grow)
	}
	w.after(pace, next)
	for began := w.now; (w.ran < events || w.now < began+10*pace) && w.step(); {
	}
	w.calm = true
	w.recover()
}

func (w *world) weighted(weights []int) (int, bool) {
	sum := 0
	for _, n := range weights {
		sum += n
	}
	if sum == 0 {
		return 0, false
	}
	k := w.rng.IntN(sum)
	for i, n := range weights {
		if k -= n; k < 0 {
			return i, true
		}
	}
	return 0, false
}

// draw picks a node.
func (w *world) draw() *node { return w.nodes[w.someNode()] }

// down crashes a node and lets it come back after a while.
func (w *world) down(n *node, mode crashfs.Mode) {
	if !n.up {
		n.disk.crash(mode)
		return
	}
	n.crash(mode)
	w.after(w.between(time.Millisecond, time.Second), n.start)
}

func (w *world) crashMode() crashfs.Mode {
	return []crashfs.Mode{crashfs.Random, crashfs.Random, crashfs.Lose, crashfs.Keep}[w.rng.IntN(4)]
}

func (w *world) crashOne() { w.down(w.draw(), w.crashMode()) }

// crashAll cuts the power of all nodes at the same moment (D2).
func (w *world) crashAll() {
	mode := w.crashMode()
	for _, n := range w.nodes[1:] {
		w.down(n, mode)
	}
}

// crashCoordinator crashes a node that coordinates groups or transactions, one that members wait for first. Or who is next to end a transaction.
func (w *world) crashCoordinator() {
	if w.transacted && !w.one(3) {
		w.trades.ambush = true
		return
	}
	var who *node
	for _, n := range w.nodes[1:] {
		for _, r := range n.replicas {
			if r.seat == nil {
				continue
			}
			open, ends := r.seat.underWay()
			if who == nil || r.seat.joins > 0 || open || ends {
				who = n
			}
		}
	}
	if who != nil {
		w.down(who, w.crashMode())
	}
}

func (w *world) stopOne() {
	n := w.draw()
	if !n.up {
		return
	}
	if w.one(2) {
		n.stopping = true // a controlled shutdown, as long as the controller lets it
		w.after(2*time.Second, n.start)
		return
	}
	n.close()
	w.after(w.between(time.Millisecond, 2*time.Second), n.start)
}

func (w *world) fillOne() {
	d := w.draw().disk
	d.fill(w.rng.Int64N(32 << 10))
}

// heal ends all that goes on; what is down comes back by itself.
func (w *world) heal() {
	w.net.clear()
	w.trades.ambush = false
	for _, n := range w.nodes[1:] {
		n.disk.repair()
		n.armed = false
		n.resume()
		n.mend()
	}
}

// mend has somebody look after the disk of a node whose logs have failed, and start the process again.
func (n *node) mend() {
	if slices.ContainsFunc(n.replicas, func(r *replica) bool { return r.failed != nil }) {
		n.crash(crashfs.Keep)
		n.start()
	}
}

// mendLater does so once more when all is well again: a journal that had failed before may be missed only then.
func (w *world) mendLater() {
	for _, n := range w.nodes[1:] {
		if n.disk.bad > 0 {
			w.after(patience/2, n.mend)
		}
	}
}

// patience is how long a healed cluster may take until producers go on and all replicas are in sync.
const patience = 20 * time.Second

// recover heals the cluster, and looks whether it works again and has kept its word.
func (w *world) recover() {
	if w.failed != nil {
		return
	}
	w.note(0, "all is well again")
	w.heal()
	w.grow()
	for _, n := range w.nodes[1:] {
		if n.stopping { // who has asked to leave must go
			n.crash(crashfs.Keep)
		}
		n.start()
	}
	w.mendLater()
	for _, p := range w.producers {
		p.pause = 100 * time.Millisecond
	}
	since := w.now + time.Second
	looked := 0
	whole := func() bool { looked++; return looked%16 == 0 && w.missing(since) == "" }
	if !w.until(patience, whole) && w.failed == nil {
		if hangs := w.trades.stuck(w); hangs != "" {
			w.fail("T4", "%v after all faults were healed, %s", patience, hangs)
		}
		w.fail("progress", "%v after all faults were healed: %s", patience, w.missing(since))
	}
	if w.failed == nil {
		w.compare()
	}
}
