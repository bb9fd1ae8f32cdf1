package sim

import (
	"fmt"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// node is one broker: a disk, and a process that comes and goes.
type node struct {
	w       *world
	id      nodeID
	disk    *disk
	up      bool
	birth   int           // of the process: how many there have been
	paused  bool          // stopped by a signal: nothing runs
	parked  []func()      // what would have run meanwhile
	armed   bool          // the power fails while the next group is on its way to the disk
	skew    time.Duration // of its wall clock
	process               // dies with the power
}

// process is what a node knows while it runs.
type process struct {
	incarnation image.UUID
	stepper     *wal.Stepper
	voter       *voter
	alone       *standalone // nil: it is one of several
	flights     map[*wal.Log]*wal.InFlight
	image       *image.Image // the newest that it has heard of
	epoch       model.BrokerEpoch
	registering bool
	heard       time.Duration // when the controller last answered
	told        []told        // of what was decided and is not known here, oldest first
	session     bool
	stopping    bool
	replicas    []*replica
	links       map[nodeID]*conn // to the leaders that it follows
	callers     map[nodeID]*conn // from its followers
	asked       replication.Subscription
	opening     bool // a log is being opened
	following   bool // coordinators are about to follow the metadata
	clean       bool // the process before had closed its logs
	carrier     carrier
	asking      []*asking
	known       bool // a registration of this process was answered: the controller knows whether the process before was stopped cleanly
}

func newNode(w *world, id nodeID) *node {
	return &node{w: w, id: id, disk: newDisk(w, id)}
}

func (n *node) broker() model.BrokerID { return model.BrokerID(n.id) }

// now is the monotonic clock, as the cores are given it.
func (n *node) now() time.Time { return epochStart.Add(n.w.now) }

// wall is the wall clock.
func (n *node) wall() time.Time { return epochStart.Add(n.w.now + n.skew) }

// guard makes an event of the present process of f: it does not run after that has died, and runs late if it is paused.
func (n *node) guard(f func()) func() {
	birth := n.birth
	return func() {
		switch {
		case !n.up || n.birth != birth:
		case n.paused:
			n.parked = append(n.parked, f)
		default:
			f()
			n.settle()
		}
	}
}

func (n *node) after(d time.Duration, f func()) { n.w.after(d, n.guard(f)) }

// settle does what follows from an event: disk work, messages.
func (n *node) settle() {
	for more := true; more && n.up; {
		n.pump()
		more = false
		for _, r := range n.replicas {
			more = r.act() || more
		}
	}
}

// start begins a process.
func (n *node) start() {
	if n.up || n.absent() {
		return
	}
	n.birth++
	n.up, n.paused, n.parked = true, false, nil
	n.w.note(n.id, "starts, process %d", int64(n.birth))
	n.process = process{
		incarnation: n.w.uuid(), flights: make(map[*wal.Log]*wal.InFlight),
		links: make(map[nodeID]*conn), callers: make(map[nodeID]*conn), clean: n.disk.stoppedClean,
	}
	n.w.clean[n.incarnation] = n.clean
	n.disk.stoppedClean = false
	if !n.openCommitter() {
		n.startLater()
		return
	}
	if im := n.disk.image; im != nil {
		n.openLogs(im) // all of them, before the registration, which tells of those that were cut (L2)
	}
	if n.w.alone && !n.openAlone() || !n.w.alone && n.w.quorate && !n.openVoter() {
		n.startLater()
		return
	}
	if im := n.disk.image; im != nil && n.w.bugs.epochReuse {
		n.image, n.heard, n.session = im, n.w.now, true
		for _, r := range n.replicas {
			if t := im.TopicByID(r.id); t != nil && r.log != nil {
				r.take(t.Partitions[r.num])
			}
		}
	}
	n.guard(n.upkeep)()
	n.guard(n.tick)()
	if n.alone == nil {
		n.guard(n.control)()
	}
}

// startLater ends a start that has failed; somebody tries again.
func (n *node) startLater() {
	n.die()
	n.w.after(n.w.between(time.Second, 2*time.Second), n.start)
}

// crash ends the process with the power, or, with crashfs.Keep, without.
func (n *node) crash(mode crashfs.Mode) {
	if !n.up {
		return
	}
	n.w.note(n.id, "crashes, mode %d", int64(mode))
	n.die()
	n.disk.crash(mode)
}

func (n *node) die() {
	n.up = false
	for _, r := range n.replicas {
		if s := r.seat; s != nil && s.waits > 0 {
			n.w.stats[coordinatorMoves]++
			n.w.stats[brokenRebalances] += min(s.joins, 1)
		}
		if r.seat != nil && n.w.transacted {
			switch open, ends := r.seat.underWay(); {
			case ends:
				n.w.stats[endingCrashes]++
			case open:
				n.w.stats[openCrashes]++
			}
		}
	}
	n.parked = nil
	n.w.net.breakOf(n.id)
	n.process = process{}
}

// pause stops the process, as SIGSTOP does.
func (n *node) pause(d time.Duration) {
	if !n.up || n.paused {
		return
	}
	n.w.note(n.id, "is paused for %d ms", d.Milliseconds())
	n.paused = true
	birth := n.birth
	n.w.after(d, func() {
		if n.birth == birth {
			n.resume()
		}
	})
}

func (n *node) resume() {
	if !n.up || !n.paused {
		return
	}
	n.w.note(n.id, "goes on")
	n.paused = false
	late := n.parked
	n.parked = nil
	for _, f := range late {
		n.guard(f)()
	}
}

// upkeep is each second's work on marks, indexes and space made ahead.
func (n *node) upkeep() {
	for n.stepper.Zero() {
	}
	for _, l := range n.stepper.Tick() {
		n.idle(l, func() { n.stepper.Upkeep(l) })
	}
	for _, r := range n.replicas {
		if r.leader != nil && r.failed == nil && n.w.logConfig.RetentionBytes >= 0 {
			n.idle(r.log, r.retain)
		}
	}
	n.after(time.Second, n.upkeep)
}

// tick lets the replicas see time pass.
func (n *node) tick() {
	n.sessionNow()
	for _, r := range n.replicas {
		r.tick()
	}
	n.after(tickEvery, n.tick)
}

// openLogs opens the logs of the partitions that the node had when it last heard of them.
func (n *node) openLogs(im *image.Image) {
	for _, t := range sortedTopics(im) {
		for num, p := range t.Partitions {
			if holdsReplica(p, n.broker()) {
				n.open(t, int32(num))
			}
		}
	}
}

// open opens a partition's log.
func (n *node) open(t *image.Topic, num int32) *replica {
	for _, r := range n.replicas {
		if r.id == t.ID && r.num == num {
			return r
		}
	}
	r := &replica{n: n, topic: t.Name, id: t.ID, num: num, book: n.w.ledger(t.ID, num, t.Name), askedBy: make(map[nodeID]asked)}
	r.shadow = n.disk.shadow(t.ID, num)
	n.replicas = append(n.replicas, r)
	r.openLog()
	return r
}

// close ends the process as a clean stop does.
func (n *node) close() {
	if !n.up || n.paused {
		return
	}
	n.w.note(n.id, "is stopped")
	clean := true
	for _, r := range n.replicas {
		if r.log == nil {
			continue
		}
		r.stopRoles()
		n.free(r.log)
		if err := r.log.Close(); err != nil {
			clean = false
		}
		r.account()
		if clean {
			r.shadow.settled = r.shadow.durable
		}
	}
	n.stepper.Close()
	if n.alone != nil {
		if err := n.alone.log.Close(); err != nil {
			clean = false
		}
	}
	if n.voter != nil {
		if err := n.voter.disk.Close(n.voter.member); err != nil {
			clean = false
		}
	}
	clean = clean && n.alone == nil && (n.clean || n.known) // else this stop would hide the one before (D2)
	n.die()
	n.disk.crash(crashfs.Keep)
	n.disk.stoppedClean = clean
}

func (n *node) find(id model.TopicID, num int32) *replica {
	for _, r := range n.replicas {
		if r.id == id && r.num == num {
			return r
		}
	}
	return nil
}

// topic is what the node knows of a topic, nil: nothing.
func (n *node) topic(name string) *image.Topic {
	if n.image == nil {
		return nil
	}
	return n.image.Topic(name)
}

func (n *node) String() string { return fmt.Sprintf("node %d", n.id) }
