package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/wal"
)

// world is one run: its time, its randomness and all that happens in it.
type world struct {
	seed   uint64
	rng    *rand.Rand
	now    time.Duration // since the start
	future heap
	ran    int // events
	net    network
	trace  trace
	failed *violation // the first one
	stats  stats
	bugs   bugs

	nodes     []*node // by ID; the first one is nil
	truth     *image.Image
	office    *endpointFunc     // the controller, where there is no quorum
	images    map[uint64]uint64 // index of the metadata -> hash of the image
	terms     map[uint64]writer // term -> active controller
	static    map[string]string // broker keys
	ledgers   map[partitionKey]*ledger
	order     []*ledger // as they were made
	producers []*producer
	consumers []*consumer
	builder   record.Builder
	made      int64 // records, requests and the like
	lastAck   time.Duration

	topics        []string // that there should be
	calm          bool     // no more faults
	plain         bool     // three nodes, one topic, and nobody administers anything
	retiring      bool     // a node is being drained
	alone         bool     // only the first node is there, and no cluster
	raising       int      // topics that are to get more replicas
	logConfig     wal.Config
	flush         map[string]int64 // flush.messages of the topics that have relaxed it (D2)
	share         bool             // nodes have a journal that their logs share
	loose         bool             // at least one topic has
	lagging       bool             // syncs are slow everywhere, so that replicas lie behind each other
	grouped       bool             // there are groups
	groups        groups
	transacted    bool // there are transactions
	trades        trades
	clean         map[image.UUID]bool // incarnation -> the one before had stopped cleanly
	replication   replication.Config
	unclean       bool          // elections may lose records
	quorate       bool          // the metadata is a Raft log on the nodes
	snapshotEvery uint64        // entries of it
	balance       time.Duration // how often leadership goes back to preferred replicas; 0: never
}

// mostEvents is how many events a schedule may take. Most take some 6,000.
const mostEvents = 200_000

// epochStart is the wall clock's time at the start of every run.
var epochStart = time.UnixMilli(1_700_000_000_000).UTC()

// violation is an invariant that does not hold.
type violation struct {
	name string // of the invariant
	text string
}

func (v *violation) Error() string { return v.name + ": " + v.text }

func newWorld(seed uint64) *world {
	w := &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x73696d)), ledgers: make(map[partitionKey]*ledger),
		images: make(map[uint64]uint64), terms: make(map[uint64]writer),
		flush: make(map[string]int64), clean: make(map[image.UUID]bool)}
	w.net = network{w: w, special: make(map[direction]weather)}
	return w
}

func (w *world) at(t time.Duration, run func())    { w.future.push(max(t, w.now), run) }
func (w *world) after(d time.Duration, run func()) { w.at(w.now+d, run) }

// one draws true once in n times.
func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

// chance draws true with a probability.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// between draws a duration.
func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(max(hi-lo, 1))))
}

// uuid draws an identity.
func (w *world) uuid() (id image.UUID) {
	binary.BigEndian.PutUint64(id[:], w.rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.rng.Uint64())
	return id
}

// wall is the clock of the clients.
func (w *world) wall() time.Time { return epochStart.Add(w.now) }

func (w *world) note(who nodeID, what string, args ...int64) {
	l := line{at: w.now, who: who, what: what}
	copy(l.args[:], args)
	w.trace.add(l)
}

// fail notes that an invariant is broken. The run ends after the event.
func (w *world) fail(name, format string, args ...any) {
	if w.failed == nil {
		w.failed = &violation{name, fmt.Sprintf(format, args...)}
		w.note(0, "VIOLATION of "+name)
	}
}

// step runs the next event; false if there is none, or an invariant is broken.
func (w *world) step() bool {
	if w.failed != nil || w.future.len() == 0 {
		return false
	}
	e := w.future.pop()
	w.now = e.at
	if w.ran++; w.ran > mostEvents {
		w.fail("end", "the schedule does not end: %d events", w.ran)
		return false
	}
	e.run()
	return w.failed == nil
}

// until runs events until a condition holds, checked after each, or a time has passed. It tells whether it holds.
func (w *world) until(limit time.Duration, holds func() bool) bool {
	for deadline := w.now + limit; !holds(); {
		if w.now > deadline || !w.step() {
			return false
		}
	}
	return true
}

// endpointFunc is an endpoint that always is there.
type endpointFunc func(from nodeID, req any, reply func(any))

func (f *endpointFunc) serve(from nodeID, req any, reply func(any)) { (*f)(from, req, reply) }

// endpoint returns who is at an address, nil if nobody is.
func (w *world) endpoint(id nodeID) endpoint {
	if id == office && w.office != nil {
		return w.office
	}
	if id > 0 && int(id) < len(w.nodes) && w.nodes[id].up {
		return w.nodes[id]
	}
	return nil
}

// someNode draws a node.
func (w *world) someNode() nodeID { return nodeID(1 + w.rng.IntN(len(w.nodes)-1)) }

// ledger returns what is known of a partition.
func (w *world) ledger(id model.TopicID, num int32, topic string) *ledger {
	k := partitionKey{id, num}
	l := w.ledgers[k]
	if l == nil {
		l = newLedger(w, k, topic)
		w.ledgers[k] = l
		w.order = append(w.order, l)
	}
	return l
}

// acknowledged holds a promise against what is committed (D2).
func (w *world) acknowledged(id model.TopicID, who nodeID, base model.Offset, s *sending, producer model.ProducerID) {
	l := w.ledger(id, 0, "")
	b, ok := l.find(base)
	if l.lossy {
		return
	}
	if !ok || b.crc != s.crc || b.producer != producer {
		w.fail("D2", "%s: %v was told that its batch %08x is at %d; there is %v", l.name, who, s.crc, base, b)
	}
}
