package txn

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

var seeds = flag.Int("txn.seeds", 300, "how many seeds the model test runs")

const (
	modelIDs     = 3
	modelTimeout = 5000
)

var modelPartitions = partitions("t-0,t-1,u-0,u-1")

// history is a log that refuses and loses, coordinators that come and go, a network that repeats and delays, and producers that crash,
// come twice and repeat themselves.
type history struct {
	*world
	seed      uint64
	rand      *rand.Rand
	producers []*producer
	newest    map[string]Producer // that somebody was told to be
	network   []*Markers          // on their way, also twice, also from coordinators that are gone
	marked    map[mark]bool       // by partition, which transactions have their marker: true: committed
	prepares  map[model.Offset]*Markers
	asked     int
	answered  int
}

// mark is a transaction on a partition. What tells transactions of one epoch apart is where their PREPARE is.
type mark struct {
	prepare   model.Offset
	partition model.TopicPartition
}

// producer is one that believes to be the only one with its transactional ID.
type producer struct {
	h       *history
	id      string
	is      Producer
	version Version
	open    bool // it has added partitions
	waits   bool // for an answer
	ending  *EndRequest
	life    int
}

// TestModel: T3, no marker before its PREPARE is settled, all of a transaction's say the same, and COMPLETE comes when each partition has
// its own; who is fenced stays so, and changes nothing; what a client was told about its transaction is so; T4, when the faults end
// nothing is open after its timeout; and what is loaded is what is in memory.
func TestModel(t *testing.T) {
	for seed := range *seeds {
		h := &history{
			world: newWorld(t), seed: uint64(seed), rand: rand.New(rand.NewPCG(uint64(seed), 3)), newest: make(map[string]Producer),
			marked: make(map[mark]bool), prepares: make(map[model.Offset]*Markers),
		}
		h.world.t = fatal{t, h.seed}
		h.config.Version = []Version{V1, V2}[h.rand.IntN(2)]
		h.m.Config = h.config
		h.onSend, h.onWrite = h.sends, h.writes
		for i := range 2 * modelIDs { // two of each ID
			h.producers = append(h.producers, &producer{h: h, id: fmt.Sprintf("id%d", i/2), is: noProducer, version: []Version{V1, V2}[h.rand.IntN(2)]})
		}
		for range 400 {
			h.step()
		}
		h.calm()
		if diff := h.same(); diff != "" {
			h.fail("%s", diff)
		}
		if h.asked != h.answered {
			h.fail("%d requests, %d answers", h.asked, h.answered)
		}
	}
}

// fatal names the seed.
type fatal struct {
	testing.TB
	seed uint64
}

func (f fatal) Fatalf(format string, args ...any) {
	f.TB.Fatalf("seed %d: %s", f.seed, fmt.Sprintf(format, args...))
}

func (f fatal) Fatal(args ...any) { f.TB.Fatalf("seed %d: %s", f.seed, fmt.Sprint(args...)) }

func (h *history) fail(format string, args ...any) {
	h.world.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), h.out.String())
}

func (h *history) step() {
	switch n := h.rand.IntN(100); {
	case n < 60:
		h.producers[h.rand.IntN(len(h.producers))].act()
	case n < 75:
		h.deliver()
	case n < 84:
		h.advance(time.Duration(h.rand.IntN(2000)) * time.Millisecond)
	case n < 85:
		h.advance(modelTimeout * time.Millisecond)
	case n < 89:
		h.hold = true
	case n < 93:
		h.hold = false
		h.settle()
	case n < 96:
		h.hold = false
		h.refuse()
	case n < 98:
		h.dry = !h.dry
		h.give()
	case n < 99:
		h.deleteTopic("u", byte(h.rand.IntN(200)+3))
	default:
		h.hold = false
		h.reload()
	}
}

// writes judges what is decided.
func (h *history) writes(off model.Offset, r *schema.TransactionLog) {
	if r.Value == nil || !ended(r.Value.Status) {
		return
	}
	prepare := h.before(off, r.Key.TransactionalID)
	v := h.value(prepare)
	if v == nil || !ending(v.Status) || (v.Status == schema.TxnPrepareCommit) != (r.Value.Status == schema.TxnCompleteCommit) {
		h.fail("%s is complete at %d: %s, but before there is %s", r.Key.TransactionalID, off, show(r.Value), show(v))
	}
	for _, tp := range unpack(v.Partitions) {
		commit, ok := h.marked[mark{prepare, tp}]
		switch {
		case !ok && h.m.exists(tp) && tp.Topic != "u": // u is deleted now and then
			h.fail("T3: %s is complete at %d, %s has no marker of what was prepared at %d", r.Key.TransactionalID, off, tp, prepare)
		case ok && commit != (v.Status == schema.TxnPrepareCommit):
			h.fail("T3: %s at %d: %s was told otherwise", r.Key.TransactionalID, off, tp)
		}
	}
}

// before is the last record of an ID below an offset.
func (h *history) before(off model.Offset, id string) model.Offset {
	for off--; off >= 0; off-- {
		r, err := schema.Transactions.Decode(h.Log[off].Key, h.Log[off].Value)
		if err != nil {
			h.fail("%v", err)
		}
		if r.(*schema.TransactionLog).Key.TransactionalID == id {
			return off
		}
	}
	return model.NoOffset
}

func (h *history) value(off model.Offset) *schema.Transaction {
	if off < 0 {
		return nil
	}
	r, err := schema.Transactions.Decode(h.Log[off].Key, h.Log[off].Value)
	if err != nil {
		h.fail("%v", err)
	}
	return r.(*schema.TransactionLog).Value
}

// sends: T3. What is sent is what the log has, below the watermark.
func (h *history) sends(e *Markers) {
	off := h.before(h.Watermark, e.TransactionalID)
	v := h.value(off)
	if !slices.ContainsFunc(e.Partitions, func(tp model.TopicPartition) bool { return tp.Topic != "u" }) && v != nil && !ending(v.Status) {
		return // they were gone before they were sent
	}
	if v == nil || !ending(v.Status) || (v.Status == schema.TxnPrepareCommit) != e.Commit || v.ProducerID != e.Producer.ID || v.ProducerEpoch != e.Producer.Epoch {
		h.fail("T3: markers %+v, settled is %s", e, show(v))
	}
	for _, p := range e.Partitions {
		if !slices.Contains(unpack(v.Partitions), p) {
			h.fail("T3: a marker for %s, prepared is %s", p, show(v))
		}
	}
	h.prepares[off] = e
	h.network = append(h.network, e)
}

// deliver writes some markers of something that was sent, perhaps not for the first time. A partition does not take those of a transaction
// that was overtaken, which it knows by epochs; here the log knows.
func (h *history) deliver() {
	if len(h.network) == 0 {
		return
	}
	i := h.rand.IntN(len(h.network))
	e := h.network[i]
	var some []model.TopicPartition
	for _, tp := range e.Partitions {
		if h.rand.IntN(3) > 0 {
			some = append(some, tp)
		}
	}
	if off := h.before(h.Watermark, e.TransactionalID); h.prepares[off] == e {
		for _, tp := range some {
			h.marked[mark{off, tp}] = e.Commit
		}
	}
	h.run(h.m.Written(h.now, e, some))
}

// calm: no more faults, and no requests. All ends (T4).
func (h *history) calm() {
	h.hold, h.dry = false, false
	h.settle()
	h.advance((modelTimeout + 2000) * time.Millisecond)
	for _, e := range h.sent {
		if off := h.before(h.Watermark, e.TransactionalID); h.prepares[off] == e {
			for _, tp := range e.Partitions {
				h.marked[mark{off, tp}] = e.Commit
			}
		}
		h.run(h.m.Written(h.now, e, e.Partitions))
	}
	h.advance(2 * time.Second)
	for _, id := range h.m.ids() {
		if t, _ := h.m.txns.Get(id); t.Status == schema.TxnOngoing || ending(t.Status) {
			h.fail("T4: %s is %s", id, show(&t.Transaction))
		}
	}
}

func (p *producer) act() {
	switch n := p.h.rand.IntN(100); {
	case n < 4: // another process of the name: this one is forgotten, what it is answered is not heard
		p.life++
		p.is, p.open, p.waits, p.ending = noProducer, false, false, nil
	case p.is == noProducer && p.waits && n < 90:
	case p.is == noProducer:
		p.init(nil)
	case n < 10:
		is := p.is
		p.init(&is)
	case p.ending != nil && n < 80:
		p.end(*p.ending)
	case p.ending != nil:
	case p.open && n < 50:
		p.end(EndRequest{TransactionalID: p.id, Producer: p.is, Version: p.version, Commit: p.h.rand.IntN(2) == 0})
	case n < 55:
		p.end(EndRequest{TransactionalID: p.id, Producer: p.is, Version: p.version})
	default:
		p.add()
	}
}

// ask counts an answer, and tells whether who asked is still there.
func (p *producer) ask() func() bool {
	p.h.asked++
	p.waits = true
	life, told := p.life, false
	return func() bool {
		if told {
			p.h.fail("%s is answered twice", p.id)
		}
		told = true
		p.h.answered++
		if life == p.life {
			p.waits = false
		}
		return life == p.life
	}
}

// wait is how long a request may be held: not at all, or a while.
func (h *history) wait() time.Duration {
	return time.Duration(max(h.rand.IntN(2000)-1000, 0)) * time.Millisecond
}

// older tells whether a producer was fenced by another: IDs are given in order.
func older(a, b Producer) bool { return a.ID < b.ID || a.ID == b.ID && a.Epoch < b.Epoch }

// changed: who has changed something was not fenced by who was told of its epoch before that was asked.
func (p *producer) changed(what string, is, newest Producer) {
	if older(is, newest) {
		p.h.fail("%s: %s of %s has succeeded, %s was told to be it", p.id, what, showProducer(is), showProducer(newest))
	}
}

func (p *producer) told(is Producer) {
	if newest, ok := p.h.newest[p.id]; ok && older(is, newest) {
		p.h.fail("%s: %s is given out after %s", p.id, showProducer(is), showProducer(newest))
	}
	p.h.newest[p.id] = is
}

// lost: who is told that it is somebody else's turn is not the last one that anybody was told of.
func (p *producer) lost(is Producer, err error) {
	fenced := errors.Is(err, ErrProducerFenced) || errors.Is(err, ErrInvalidProducerIDMapping)
	if t, ok := p.h.m.txns.Get(p.id); fenced && ok && is == successor(&t.Transaction) {
		p.h.fail("%s: %s is told %q, the state is %s", p.id, showProducer(is), err, show(&t.Transaction))
	}
	if fenced || errors.Is(err, ErrInvalidTxnState) {
		p.is, p.open, p.ending = noProducer, false, nil
	}
}

func (p *producer) init(expected *Producer) {
	heard, newest, is := p.ask(), p.h.newest[p.id], noProducer
	if expected != nil {
		is = *expected
	}
	r := InitRequest{TransactionalID: p.id, TimeoutMs: modelTimeout, Expected: expected, Wait: p.h.wait()}
	p.h.run(p.h.m.InitProducerID(p.h.now, r, func(o InitReply) {
		here := heard()
		if o.Err == nil && expected != nil {
			p.changed("going on", is, newest)
		}
		if o.Err == nil && here {
			p.told(o.Producer)
			p.is, p.open, p.ending = o.Producer, false, nil
		} else if here {
			p.lost(is, o.Err)
		}
	}))
}

func (p *producer) add() {
	heard, is, newest := p.ask(), p.is, p.h.newest[p.id]
	var some []model.TopicPartition
	for _, tp := range modelPartitions {
		if p.h.rand.IntN(2) == 0 {
			some = append(some, tp)
		}
	}
	if some == nil {
		some = modelPartitions[:1]
	}
	r := AddRequest{TransactionalID: p.id, Producer: is, Version: p.version, Partitions: some, Wait: p.h.wait()}
	p.h.run(p.h.m.AddPartitions(p.h.now, r, func(err error) {
		here := heard()
		if err == nil {
			p.changed("adding", is, newest)
			p.open = p.open || here
		} else if here {
			p.lost(is, err)
		}
	}))
}

// end is asked again until it is answered for good.
func (p *producer) end(r EndRequest) {
	heard, newest := p.ask(), p.h.newest[p.id]
	p.ending = &r
	r.Wait = p.h.wait()
	p.h.run(p.h.m.EndTxn(p.h.now, r, func(o EndReply) {
		here := heard()
		if o.Err == nil {
			p.outcome(r, newest)
		}
		switch {
		case !here:
		case o.Err == nil && r.Version >= V2:
			p.told(o.Producer)
			p.is, p.open, p.ending = o.Producer, false, nil
		case o.Err == nil:
			p.open, p.ending = false, nil
		default:
			p.lost(r.Producer, o.Err)
		}
	}))
}

// outcome: what the producer is told has happened is what is settled. Of its transaction, or of one after it if it was an abort.
func (p *producer) outcome(r EndRequest, newest Producer) {
	if r.Version < V2 {
		p.changed("ending", r.Producer, newest)
	}
	for off := p.h.Watermark; off > 0; {
		if off = p.h.before(off, p.id); off < 0 {
			break
		}
		v := p.h.value(off)
		grown := v.ProducerID == r.Producer.ID && v.ProducerEpoch == r.Producer.Epoch+int16(min(r.Version, 1))
		if ending(v.Status) && grown {
			if r.Commit != (v.Status == schema.TxnPrepareCommit) {
				p.h.fail("%s was told commit=%t, settled is %s", p.id, r.Commit, show(v))
			}
			return
		}
	}
	p.h.fail("%s was told that %+v is done, nothing of it is settled", p.id, r)
}
