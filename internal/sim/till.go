package sim

import (
	"fmt"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// till is a transactional ID, and the offset that its transactions move. One process after the other has it; sometimes a second one does not know that it is
// not the last.
type till struct {
	w         *world
	id        string
	version   txn.Version
	timeout   time.Duration
	key       offsetKey
	processes []*trader
	instance  *string       // of static members
	closed    bool          // nobody comes any more
	doneAt    time.Duration // the last time that a transaction ended as it was to
}

// trade starts the clients of transactions.
func (w *world) trade(id nodeID) {
	t := &w.trades
	t.sold, t.offsets = make(map[soldKey]*piece), make(map[model.Offset]*piece)
	t.written, t.groups = make(map[uint32][]*schema.TransactionLog), make(map[uint32][]*piece)
	t.changed = make(map[string]time.Duration)
	t.states, t.newest, t.ripe = make(map[string]*schema.Transaction), make(map[model.ProducerID]int16), make(map[model.ProducerID][]*piece)
	t.version = []txn.Version{txn.V1, txn.V2}[w.rng.IntN(2)]
	t.nodes = id + shelves
	for num := range int32(shelves) {
		s := shelf(num)
		c := &consumer{client: client{w: w, id: id, topic: s.Topic, num: s.Partition}, near: w.one(2), committed: true, pause: w.between(20*time.Millisecond, 150*time.Millisecond)}
		id++
		w.consumers = append(w.consumers, c)
		w.whenSold(c.start)
	}
	n := 2 + w.rng.IntN(2)
	if t.market {
		w.openMarket(n)
		n = 1
	}
	for range n {
		w.openTill("", nil)
	}
}

// openTill adds a transactional ID, for a member of a group or for nobody.
func (w *world) openTill(group string, instance *string) {
	t := &w.trades
	name := fmt.Sprintf("till-%d", len(t.tills))
	l := &till{w: w, id: name, key: offsetKey{group, 0}, instance: instance, timeout: w.between(leastTxnTime, mostTxnTime).Truncate(time.Millisecond)}
	if group == "" {
		l.key = offsetKey{name, int32(w.rng.IntN(shopPartitions))}
	} else {
		l.timeout *= 2 // longer than sessions, now and then
	}
	if t.version == txn.V2 && !w.one(4) {
		l.version = txn.V2
	}
	t.tills = append(t.tills, l)
	w.whenSold(l.hire)
}

// whenSold runs f when there is something to write to, and to have offsets of.
func (w *world) whenSold(f func()) {
	if w.truth.Topic(booksTopic) == nil || w.truth.Topic(stockTopic) == nil || w.truth.Topic(shopTopic) == nil {
		w.after(50*time.Millisecond, func() { w.whenSold(f) })
		return
	}
	w.after(w.between(0, 100*time.Millisecond), f)
}

// hire has a process begin with the transactional ID. Who has it now is fenced.
func (l *till) hire() {
	if l.closed {
		return
	}
	w := l.w
	id := w.trades.nodes
	w.trades.nodes++
	t := &trader{w: w, id: id, till: l, wait: time.Duration(w.rng.IntN(2)) * 50 * time.Millisecond}
	t.desk = asker{client: client{w: w, id: id, topic: schema.Transactions.Name, num: w.coordinatorOf(schema.Transactions.Name, l.id)}}
	t.clerk = w.groupAsker(id, l.key.group)
	for num := range t.shelves {
		s := shelf(int32(num))
		t.shelves[num] = asker{client: client{w: w, id: id, topic: s.Topic, num: s.Partition}}
	}
	l.processes = append(l.processes, t)
	if l.key.group == market {
		t.enter()
	}
	t.open(nil)
}

// last tells whether nobody has come after a process.
func (l *till) last(t *trader) bool { return l.processes[len(l.processes)-1] == t }

// gone is told that a process has ended. Another one takes its place, or nobody ever does: then another transactional ID is used.
func (l *till) gone(t *trader) {
	switch w := l.w; {
	case !l.last(t) || l.closed:
	case !w.calm && w.one(3):
		w.after(w.between(0, time.Second), l.move)
		l.closed = true
	default:
		pause := time.Second
		if !w.one(3) {
			pause /= 100
		}
		w.after(w.between(0, pause), func() {
			if l.last(t) {
				l.hire()
			}
		})
	}
}

// move has another transactional ID used from now on.
func (l *till) move() {
	group := ""
	if l.key.group == market {
		group = market
	}
	l.closed = true
	l.w.openTill(group, l.instance)
}

// replace puts another process beside one that goes on. A static member's may have a transactional ID of its own: then only the group's coordinator knows that the
// other one is to do nothing any more. It tells whether that is so.
func (l *till) replace() bool {
	switch {
	case l.closed:
	case l.instance != nil && !l.w.one(3):
		l.move()
		return true
	default:
		l.hire()
	}
	return false
}

// stop ends all processes, whatever they are at.
func (l *till) stop() {
	l.closed = true
	for _, t := range l.processes {
		t.end()
	}
}

// deal begins the books of a transaction.
func (t *trader) begin() *deal {
	d := &deal{till: t.till, producer: t.producer}
	w := t.w
	w.trades.deals = append(w.trades.deals, d)
	first := w.rng.IntN(shelves)
	for i := range 1 + w.rng.IntN(shelves-1) {
		num := int32((first + i) % shelves)
		for range 1 + w.rng.IntN(3) {
			p := &piece{deal: d, num: num, bytes: t.batch(num)}
			w.trades.sold[soldKey{num, p.bytes.CRC()}] = p
			d.pieces = append(d.pieces, p)
		}
	}
	if t.member == nil && w.one(2) {
		d.moves(t.till.key, model.NoOffset)
	}
	return d
}

// moves has the transaction commit an offset that is higher than all before.
func (d *deal) moves(k offsetKey, from model.Offset) {
	w := d.till.w
	w.made++
	p := &piece{deal: d, offset: model.Offset(w.made), key: k, from: from}
	w.trades.offsets[p.offset] = p
	w.groups.account(k).tried[p.offset] = true
	d.pieces = append(d.pieces, p)
}

// batch makes one of some records.
func (t *trader) batch(num int32) record.Batch {
	b := &t.w.builder
	b.Reset(record.Options{Transactional: true, Producer: &record.Producer{ID: t.producer.ID, Epoch: t.producer.Epoch, Sequence: t.next[num]}})
	n := 1 + t.w.rng.IntN(2)
	for range n {
		t.w.made++
		b.Add(t.w.wall().UnixMilli(), nil, fmt.Append(nil, t.w.made))
	}
	out, err := b.Build()
	if err != nil {
		panic(err)
	}
	t.next[num] += int32(n)
	return out
}

// commitOf is the request that commits a transaction's offset.
func (t *trader) commitOf(p *piece) depositRequest {
	q := group.TxnCommitRequest{Producer: t.producer, CommitRequest: group.CommitRequest{Group: p.key.group, Generation: -1, RetentionMs: -1}}
	if b := p.deal.badge; b != nil {
		q.Member, q.Generation, q.Instance = b.member, b.epoch, b.instance
	}
	q.Offsets = []group.CommitOffset{{TopicPartition: model.TopicPartition{Topic: shopTopic, Partition: p.key.partition}, Offset: p.offset, LeaderEpoch: model.NoEpoch}}
	return depositRequest{q, t.till.id, t.till.version}
}
