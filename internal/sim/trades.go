package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// booksTopic is what transactions write to. Nobody makes it anew, nor deletes from it, as others do with stockTopic.
const (
	booksTopic      = "books"
	booksPartitions = 2
)

// The times of transactions.
const (
	leastTxnTime = 600 * time.Millisecond
	mostTxnTime  = 1500 * time.Millisecond
	// hangTime is how much longer than that a transaction may be open when all is well (T4).
	hangTime = 5 * time.Second
)

// trades is what is known of all transactions by who sees everything.
type trades struct {
	ambush   bool        // the next coordinator that sends markers crashes
	version  txn.Version // of what coordinators do by themselves
	restocks bool        // stockTopic is made anew, also where nobody administers anything
	market   bool        // there are members of a group whose transactions move its offsets
	speaks   func() protocol
	ids      model.ProducerID
	nodes    nodeID // the next client's
	tills    []*till
	deals    []*deal
	sold     map[soldKey]*piece                  // records
	offsets  map[model.Offset]*piece             // of groups
	written  map[uint32][]*schema.TransactionLog // by the batches of coordinators of transactions
	groups   map[uint32][]*piece                 // by those of coordinators of groups
	states   map[string]*schema.Transaction      // of transactional IDs, as far as committed
	changed  map[string]time.Duration            // when that was
	newest   map[model.ProducerID]int16          // epochs that producers were given by InitProducerId
	ripe     map[model.ProducerID][]*piece       // offsets that are committed, until that is complete
}

// deal is one transaction as its client wants it.
type deal struct {
	till     *till
	producer txn.Producer
	pieces   []*piece
	asked    fate // of the coordinator
	told     fate // by it
	badge    *badge
	fate     fate // as the first marker says
	loose    bool // something was sent of which its client does not know what became
}

// piece is a batch of a transaction, or an offset.
type piece struct {
	deal   *deal
	num    int32 // of the shelf
	bytes  record.Batch
	offset model.Offset // of a group
	key    offsetKey    // whose
	from   model.Offset // and where it was, if the client has read on from there
	acked  bool
	there  bool // it is committed in its log
	at     *ledger
	fate   fate
}

// soldKey is a shelf and a batch's checksum.
type soldKey struct {
	num int32
	crc uint32
}

func (d *deal) String() string {
	return fmt.Sprintf("transaction of %s, producer %d/%d, asked %v, told %v", d.till.id, d.producer.ID, d.producer.Epoch, d.asked, d.told)
}

// drawn tells whether a schedule has transactions. It is drawn beside all else, so that the others are as they are.
func (t *trades) drawn(seed uint64) bool { return rand.New(rand.NewPCG(seed, 0x74786e)).IntN(100) < 54 }

// begun tells whether clients have come to the end of a transaction: each of those without a group, and one of the others.
func (t *trades) begun() bool {
	waits := t.market
	for _, l := range t.tills {
		if l.doneAt == 0 && l.key.group != market {
			return false
		}
		waits = waits && (l.doneAt == 0 || l.key.group != market)
	}
	return len(t.tills) > 0 && !waits
}

// wrote notes what a coordinator's batch says, which is about to be appended.
func (t *trades) wrote(s *seat, b record.Batch) {
	if t.written == nil || b.IsControl() {
		return
	}
	topic := schema.Groups
	if s.r.topic == schema.Transactions.Name {
		topic = schema.Transactions
	} else if !b.IsTransactional() {
		return
	}
	it := record.NewIterator(b.Records(), b.RecordCount())
	var r record.Record
	crc := b.CRC()
	t.written[crc], t.groups[crc] = nil, nil
	for it.Next(&r) {
		switch rec, _ := topic.Decode(r.Key, r.Value); rec := rec.(type) {
		case *schema.TransactionLog:
			t.written[crc] = append(t.written[crc], rec)
		case *schema.OffsetCommit:
			t.groups[crc] = append(t.groups[crc], t.offsets[rec.Value.Offset])
		}
	}
}

// stands is told that a transaction's batch is committed. Who was fenced before writes nothing any more (T3).
func (t *trades) stands(l *ledger, s *span, b stored) {
	if b.producerEpoch < t.newest[b.producer] {
		l.w.fail("T3", "%s: %v is of a fenced producer: epoch %d was given to another one before", l.name, b, t.newest[b.producer])
	}
	all := t.groups[b.crc]
	if num, ok := l.shelf(); ok {
		all = []*piece{t.sold[soldKey{num, b.crc}]}
	}
	for _, p := range all {
		if p == nil {
			l.w.fail("T3", "%s: nobody has sent %v", l.name, b)
			return
		}
		p.there, p.at = true, l
		s.pieces = append(s.pieces, p)
		if p.offset != 0 {
			l.w.groups.account(p.key).pending = p
		}
	}
}

// marked is told of the marker that ends a transaction on a partition: what was decided is safe, and it is the same everywhere (T3).
func (t *trades) marked(l *ledger, s *span, b stored) {
	d := s.pieces[0].deal
	if v := t.states[d.till.id]; v == nil || v.ProducerID != b.producer || v.ProducerEpoch != b.producerEpoch || ending(v.Status) != s.fate {
		l.w.fail("T3", "%s: the marker %v, %v, of a %v stands before that is decided: %+v", l.name, b, s.fate, d, v)
	}
	for _, p := range s.pieces {
		p.fate = s.fate
		switch o := p.deal; {
		case o != d:
			l.w.fail("T3", "%s: the marker %v ends two transactions: a %v, and a %v", l.name, b, d, o)
		case d.fate == undecided:
			d.fate = s.fate
		case d.fate != s.fate:
			l.w.fail("T3", "%s: a %v is %v here, and was %v elsewhere", l.name, d, s.fate, d.fate)
		}
	}
	switch {
	case d.told != undecided && d.told != s.fate:
		l.w.fail("T3", "%s: a %v is %v", l.name, d, s.fate)
	case s.fate == visible && d.asked != visible:
		l.w.fail("T3", "%s: a %v is committed, which nobody wanted", l.name, d)
	}
	if _, ok := l.shelf(); !ok && s.fate == visible {
		t.ripe[s.producer] = append(t.ripe[s.producer], s.pieces...)
		for _, p := range s.pieces {
			t.moved(l, p)
		}
	}
}

// ending is what markers say in a state, undecided: there are none.
func ending(s schema.TransactionStatus) fate {
	switch s {
	case schema.TxnPrepareCommit:
		return visible
	case schema.TxnPrepareAbort:
		return hidden
	}
	return undecided
}

// recorded is told that a batch of a coordinator of transactions is committed.
func (t *trades) recorded(l *ledger, b stored) {
	for _, rec := range t.written[b.crc] {
		id, v, old := rec.Key.TransactionalID, rec.Value, t.states[rec.Key.TransactionalID]
		if v == nil {
			delete(t.states, id)
			continue
		}
		t.states[id], t.changed[id] = v, l.w.now
		if old == nil {
			continue
		}
		done := v.Status == schema.TxnCompleteCommit && ending(old.Status) == visible || v.Status == schema.TxnCompleteAbort && ending(old.Status) == hidden
		began := old.Status == schema.TxnOngoing
		switch {
		case done:
			t.completed(l, id, old)
		case ending(old.Status) != undecided, v.Status >= schema.TxnCompleteCommit, began && v.Status == schema.TxnEmpty:
			l.w.fail("T3", "%s: %s goes from %v to %v", l.name, id, old.Status, v.Status)
		case began && ending(v.Status) == hidden && v.LastUpdateTimestamp-old.StartTimestamp >= int64(old.TimeoutMs):
			l.w.stats[txnTimeouts]++
		}
	}
}

// completed is told that a transaction is complete: each of its partitions has its marker (T3).
func (t *trades) completed(l *ledger, id string, v *schema.Transaction) {
	for _, topic := range v.Partitions {
		at := l.w.truth.Topic(topic.Topic)
		if at == nil {
			continue
		}
		for _, num := range topic.Partitions {
			if s := l.w.ledger(at.ID, num, topic.Topic).transactions.open[v.ProducerID]; s != nil {
				l.w.fail("T3", "%s is complete; on partition %d of %s there is %v", id, num, topic.Topic, s)
			}
		}
	}
	for _, p := range t.ripe[v.ProducerID] {
		a := l.w.groups.account(p.key)
		a.floor = max(a.floor, p.offset)
	}
	delete(t.ripe, v.ProducerID)
	l.w.stats[txnCommits+exercise(ending(v.Status)-visible)]++
}

// promised is told what a coordinator answers to who ends a transaction.
func (t *trades) promised(w *world, d *deal, err error) {
	if err != nil {
		return
	}
	if d.told = d.asked; d.fate != undecided && d.fate != d.told {
		w.fail("T3", "a %v was %v before", d, d.fate)
	}
	w.note(0, "the transaction of producer %d, epoch %d, is acknowledged: %d", int64(d.producer.ID), int64(d.producer.Epoch), int64(d.told))
	if p := d.deposit(); p != nil && d.told == visible {
		a := w.groups.account(p.key)
		a.stable = max(a.stable, p.offset)
	}
}

// deposit is the offset of the transaction, nil if there is none.
func (d *deal) deposit() *piece {
	for _, p := range d.pieces {
		if p.offset != 0 {
			return p
		}
	}
	return nil
}
