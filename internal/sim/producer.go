package sim

import (
	"encoding/binary"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
)

// produceRequest is one batch on its way to a leader. The bytes are the leader's now.
type produceRequest struct {
	number int // of the request on its connection
	topic  string
	id     model.TopicID
	epoch  model.LeaderEpoch
	acks   int8
	batch  record.Batch
}

type produceReply struct {
	number int
	code   code
	base   model.Offset
}

// producer sends batches to one partition and retries until it knows what became of each.
type producer struct {
	client
	acks       int8
	idempotent model.ProducerID // NoProducer: it is not
	generation int16            // producer epoch
	next       int32            // sequence
	size       int              // of values, at most
	window     int              // requests that are not answered, at most
	pause      time.Duration    // between batches, about
	pending    []*sending       // oldest first
	conn       *conn
	stopped    bool
	patience   time.Duration
	answeredAt time.Duration // the last time, with success
}

// sending is a batch that was not answered yet.
type sending struct {
	bytes  []byte
	first  int32
	crc    uint32
	sent   bool // on this connection
	number int
}

func (p *producer) start() { p.refresh(p.connect); p.tick() }

// tick makes a new batch every now and then.
func (p *producer) tick() {
	if p.stopped {
		return
	}
	if len(p.pending) < p.window {
		p.make()
		p.pump()
	}
	p.w.after(p.w.between(p.pause/2, p.pause*2), p.tick)
}

func (p *producer) make() {
	opts := record.Options{}
	if p.idempotent != model.NoProducer {
		opts.Producer = &record.Producer{ID: p.idempotent, Epoch: p.generation, Sequence: p.next}
	}
	b := &p.w.builder
	b.Reset(opts)
	n := 1 + p.w.rng.IntN(3)
	for range n {
		p.w.made++
		size := 8 + p.w.rng.IntN(p.size)
		value := make([]byte, size)
		binary.BigEndian.PutUint64(value, uint64(p.w.made))
		b.Add(p.w.wall().UnixMilli(), nil, value)
	}
	bytes, err := b.Build()
	if err != nil {
		panic(err)
	}
	p.pending = append(p.pending, &sending{bytes: bytes, first: p.next, crc: bytes.CRC()})
	p.next += int32(n)
}

// connect opens a connection to the leader, on which all that is pending is sent again, in order.
func (p *producer) connect() {
	p.drop()
	for _, s := range p.pending {
		s.sent = false
	}
	leader := p.leader
	var c *conn
	c = p.w.net.dial(p.id, leader, func(to nodeID, msg any) {
		if to == p.id {
			if c == p.conn {
				p.answered(msg.(produceReply))
			}
			return
		}
		if e := p.w.endpoint(leader); e != nil {
			e.serve(p.id, msg, func(answer any) { c.send(leader, answer) })
		} else {
			c.breakOff()
		}
	}, func(end nodeID) {
		if end == p.id && c == p.conn {
			p.lost()
		}
	})
	p.conn = c
	p.pump()
}

func (p *producer) drop() {
	if c := p.conn; c != nil {
		p.conn = nil
		c.breakOff()
	}
}

// lost follows the end of the connection, or an answer that says to look elsewhere.
func (p *producer) lost() {
	p.drop()
	p.w.after(p.w.between(time.Millisecond, 50*time.Millisecond), func() { p.refresh(p.connect) })
}

// pump sends what was not sent.
func (p *producer) pump() {
	if p.conn == nil {
		return
	}
	for i := 0; i < len(p.pending) && p.conn != nil; i++ {
		s := p.pending[i]
		if s.sent {
			continue
		}
		p.w.made++
		s.sent, s.number = true, int(p.w.made)
		c := p.conn
		c.send(p.id, produceRequest{
			number: s.number, topic: p.topic, id: p.known, epoch: p.epoch, acks: p.acks,
			batch: append(record.Batch(nil), s.bytes...),
		})
		if p.acks == 0 {
			p.forget(s)
			i--
			continue
		}
		p.w.after(p.patience, func() {
			if p.conn == c && p.has(s) {
				p.lost()
			}
		})
	}
}

func (p *producer) has(s *sending) bool {
	for _, o := range p.pending {
		if o == s {
			return true
		}
	}
	return false
}

func (p *producer) forget(s *sending) {
	for i, o := range p.pending {
		if o == s {
			p.pending = append(p.pending[:i:i], p.pending[i+1:]...)
			return
		}
	}
}

func (p *producer) answered(r produceReply) {
	var s *sending
	for _, o := range p.pending {
		if o.sent && o.number == r.number {
			s = o
		}
	}
	if s == nil {
		return
	}
	p.w.note(p.id, "answer: "+codeNames[r.code]+", offset %d, sequence %d", int64(r.base), int64(s.first))
	switch r.code {
	case okay:
		p.answeredAt = p.w.now
		if p.acks == -1 {
			p.w.acknowledged(p.known, p.id, r.base, s, p.idempotent)
		}
		p.forget(s)
		p.w.lastAck = p.w.now
	case outOfSequence, fencedEpoch:
		p.bump(s)
	case unknownTopic:
		p.pending = nil
		p.known = model.TopicID{}
		p.generation++
		p.next = 0
		p.lost()
	default:
		p.lost()
	}
}

// bump begins a new epoch of the producer: what became of the oldest batch cannot be known.
func (p *producer) bump(s *sending) {
	if s != p.pending[0] {
		p.lost() // one before it failed; it is sent again behind that
		return
	}
	p.generation++
	p.next = 0
	p.pending = nil
	p.lost()
}
