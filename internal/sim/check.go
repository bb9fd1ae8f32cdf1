package sim

import (
	"fmt"
	"slices"

	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// ledger is what is known of one partition of one topic by who sees everything: what was committed, and by whom.
type ledger struct {
	w         *world
	key       partitionKey
	topic     string
	name      string
	committed []stored // that a watermark has passed, on the leader that went furthest
	start     model.Offset
	writers   map[model.LeaderEpoch]writer
	producers map[model.ProducerID]sequence
	transactions
	relaxed bool              // its topic has relaxed its flushing
	lossy   bool              // and records were lost, as that allows (D2)
	lostIn  model.LeaderEpoch // the first epoch that does not have them
	newest  model.LeaderEpoch // in which a coordinator has committed something
	forgets bool              // records were deleted: a replica that began behind them knows nothing of their producers
}

// writer is the one that appends in an epoch (R1).
type writer struct {
	node  nodeID
	birth int // of its process
}

// sequence is what comes next of an idempotent producer.
type sequence struct {
	epoch int16
	next  int32
}

func newLedger(w *world, key partitionKey, topic string) *ledger {
	name := fmt.Sprintf("%s-%d of %v", topic, key.num, key.id)
	return &ledger{w: w, key: key, topic: topic, name: name, relaxed: w.flush[topic] > 0, writers: make(map[model.LeaderEpoch]writer), producers: make(map[model.ProducerID]sequence)}
}

func (l *ledger) end() model.Offset {
	if n := len(l.committed); n > 0 {
		return l.committed[n-1].last + 1
	}
	return l.start
}

// wrote is told of every append by a leader.
func (l *ledger) wrote(by writer, b stored) {
	first, ok := l.writers[b.epoch]
	if !ok {
		l.writers[b.epoch] = by
		return
	}
	if t := l.w.truth.TopicByID(l.key.id); first.node == by.node && t != nil && len(t.Partitions[l.key.num].Replicas) == 1 {
		l.writers[b.epoch] = by // what it has lost nobody else had
		return
	}
	if first != by {
		l.w.fail("R1", "%s: %v of process %d appends in epoch %d, in which %v of process %d has appended",
			l.name, by.node, by.birth, b.epoch, first.node, first.birth)
	}
}

// index returns where in committed an offset is.
func (l *ledger) index(off model.Offset) int {
	s := shadow{batches: l.committed}
	return s.at(off)
}

// passed is told that a replica's watermark has reached hw. What it passed is committed: it is the same everywhere and
// stays so (D2, R2). epoch is that of its role.
func (l *ledger) passed(who nodeID, s *shadow, hw model.Offset, epoch model.LeaderEpoch) {
	if epoch < l.lostIn {
		return
	}
	if hw > s.end() {
		l.w.fail("R2", "%s: the watermark of %v is %d, its log ends at %d", l.name, who, hw, s.end())
		return
	}
	from := max(s.agreed, s.start)
	if from >= hw {
		return
	}
	k := l.index(from)
	for _, b := range s.batches[s.at(from):] {
		if b.last >= hw {
			if b.base < hw {
				l.w.fail("D5", "%s: the watermark %d of %v lies inside of %v", l.name, hw, who, b)
			}
			break
		}
		for k < len(l.committed) && l.committed[k].base < b.base {
			k++
		}
		switch {
		case k < len(l.committed):
			if l.committed[k] != b {
				l.w.fail("R2", "%s: %v has %v below its watermark %d, committed is %v", l.name, who, b, hw, l.committed[k])
				return
			}
		case b.base != l.end():
			l.w.fail("R2", "%s: %v commits %v, the committed log ends at %d", l.name, who, b, l.end())
			return
		default:
			l.commit(b)
		}
		k++
	}
	s.agreed = max(s.agreed, hw)
}

// commit adds a batch to what is committed, and looks whether a producer's batches stand there once and in order (T1).
func (l *ledger) commit(b stored) {
	l.committed = append(l.committed, b)
	switch {
	case l.topic == schema.Transactions.Name:
		l.w.trades.recorded(l, b)
	case b.producer >= 0 && l.w.transacted:
		l.transacts(b)
	}
	if b.producer < 0 || l.forgets {
		return
	}
	seq, ok := l.producers[b.producer]
	if b.first == record.NoSequence { // a marker, or a coordinator's
		if b.producerEpoch < seq.epoch {
			l.w.fail("T3", "%s: %v is of a fenced producer, whose epoch is %d", l.name, b, seq.epoch)
		} else if !ok || b.producerEpoch > seq.epoch {
			l.producers[b.producer] = sequence{b.producerEpoch, 0}
		}
		return
	}
	switch {
	case !ok || b.producerEpoch > seq.epoch:
		if b.first != 0 && ok {
			l.w.fail("T1", "%s: %v begins an epoch of its producer not with 0", l.name, b)
		}
	case b.producerEpoch < seq.epoch:
		l.w.fail("T1", "%s: %v is of a fenced producer, whose epoch is %d", l.name, b, seq.epoch)
	case b.first < seq.next:
		l.w.fail("T1", "%s: %v is there twice: its producer has come to %d", l.name, b, seq.next)
	case b.first > seq.next:
		l.w.fail("T1", "%s: %v leaves out sequences from %d on", l.name, b, seq.next)
	}
	l.producers[b.producer] = sequence{b.producerEpoch, b.lastSeq + 1}
}

// holds tells whether a replica has everything committed on its disk.
func (l *ledger) holds(s *shadow) bool {
	if s.durable < l.end() {
		return false
	}
	if s.agreed >= l.end() {
		return true
	}
	if k, at := l.parts(s); k < len(l.committed) && at >= 0 {
		return false
	}
	s.agreed = max(s.agreed, l.end())
	return true
}

// parts finds where a replica parts from what is committed: the index there, and in the replica; -1 if it does not.
func (l *ledger) parts(s *shadow) (committed, replica int) {
	from := max(s.agreed, s.start)
	k := l.index(from)
	for i := s.at(from); i < len(s.batches) && k < len(l.committed); i++ {
		if l.committed[k] != s.batches[i] {
			return k, i
		}
		k++
	}
	return k, -1
}

// excused tells whether the controller knows that a member may have lost something, or cannot know it yet: the disk was wiped, or
// the log was cut, and no registration has told of it. Until then nobody elects it for that it has.
func (l *ledger) excused(id model.BrokerID) bool {
	d := l.w.nodes[id].disk
	if d.shadow(l.key.id, l.key.num).unsure {
		return true // it cannot be used before it is opened, and then it is known what it has
	}
	if l.relaxed && !l.w.nodes[id].registered() {
		return true // it loses what was not synced, unless it is stopped cleanly
	}
	if _, untold := d.untold[l.key]; untold {
		return true
	}
	n := l.w.truth.Node(id)
	if n == nil || n.Directory != d.id {
		return true
	}
	return marked(l.w.truth.TopicByID(l.key.id).Partitions[l.key.num], id)
}

// marked tells whether the log of a member is known to be cut.
func marked(p *image.Partition, id model.BrokerID) bool {
	return slices.ContainsFunc(p.Cut, func(c image.CutLog) bool { return c.Node == id })
}

// kept looks whether those who hold all that is committed remain candidates (R4): while the ISR is below the effective minimum nothing
// is committed, so whoever leaves it stays eligible, also with a log that was cut: what was cut off it may be nothing that anybody was told of.
// Who has lost a whole disk goes (R7).
func (l *ledger) kept(old, im *image.Image) {
	before := old.TopicByID(l.key.id)
	if before == nil {
		return
	}
	q, p := before.Partitions[l.key.num], im.TopicByID(l.key.id).Partitions[l.key.num]
	if p.PartitionEpoch != q.PartitionEpoch+1 || len(p.ISR) >= p.EffectiveMinISR(int32(l.w.replication.MinISR)) {
		return
	}
	for _, id := range slices.Concat(q.ISR, q.ELR) {
		switch n, was := im.Node(id), old.Node(id); {
		case slices.Contains(p.ISR, id), slices.Contains(p.ELR, id), !slices.Contains(p.Replicas, id):
		case n == nil, was == nil, n.Directory != was.Directory:
		case n.Epoch != was.Epoch && l.w.nodes[id].disk.id != was.Directory: // it has told so, and a late registration of before has come in the same entry
		case l.relaxed && (n.Epoch != was.Epoch || marked(q, id)):
		default:
			l.w.fail("R4", "%s: node %d has left the ISR or ELR, and is not eligible: ISR %v, ELR %v before; ISR %v, ELR %v now", l.name, id, q.ISR, q.ELR, p.ISR, p.ELR)
		}
	}
}

// find returns the committed batch that begins at an offset.
func (l *ledger) find(base model.Offset) (stored, bool) {
	if k := l.index(base); k < len(l.committed) && l.committed[k].base == base {
		return l.committed[k], true
	}
	return stored{}, false
}

// covered looks whether everyone who may be elected has all that is committed on its disk (D1, R3, R4): the members of the ISR
// and the eligible leader replicas, as the metadata has them at this moment.
func (l *ledger) covered() {
	im := l.w.truth
	if im == nil {
		return
	}
	t := im.TopicByID(l.key.id)
	if t == nil {
		return
	}
	p := t.Partitions[l.key.num]
	for _, id := range p.ISR {
		l.coveredBy(nodeID(id), "the ISR")
	}
	for _, id := range p.ELR {
		l.coveredBy(nodeID(id), "the ELR")
	}
}

func (l *ledger) coveredBy(id nodeID, as string) {
	s := l.w.nodes[id].disk.shadow(l.key.id, l.key.num)
	if !l.holds(s) && !l.excused(model.BrokerID(id)) {
		differs := ""
		if k, i := l.parts(s); i >= 0 {
			differs = fmt.Sprintf("; %v where %v is committed", s.batches[i], l.committed[k])
		}
		l.w.fail("R3", "%s: %v is in %s; committed is up to %d, it has %d, durable %d%s", l.name, id, as, l.end(), s.end(), s.durable, differs)
	}
}
