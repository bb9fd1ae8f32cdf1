package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producers is the writing side of a run: one client per connection, each with its own account and
// histogram, which only that client's callbacks touch.
type producers struct {
	opts    *Options
	span    Span
	gen     *Generator
	clients []*producer
	halted  atomic.Bool
	left    atomic.Int64   // records that may still be sent; only with a limit
	flying  sync.WaitGroup // closed loop: places; open loop: the pacer and its records
	fail    func()
}

type producer struct {
	set        *producers
	number     int
	cl         *kgo.Client
	account    *Account
	latencies  *Latencies
	sent       atomic.Int64
	places     atomic.Uint32
	partitions int
	free       sync.Pool // open loop: places
}

// place is room for one outstanding record. It is used again as soon as its record is answered, so that
// the load makes no garbage of its own.
type place struct {
	p          *producer
	record     kgo.Record
	value, key []byte
	sequence   uint64
	due        time.Time
	answeredAt time.Time
	answered   func(*kgo.Record, error)
}

// newProducers is the Opener of franz-go.
func newProducers(o *Options, t Topic, gen *Generator, fail func()) (Load, error) {
	ps := &producers{opts: o, gen: gen, fail: fail}
	ps.left.Store(o.Records)
	for i := range o.Connections {
		outstanding := o.Concurrency/o.Connections + 1
		if o.Rate > 0 {
			outstanding = openLoopBuffer
		}
		cl, err := kgo.NewClient(o.producerOptions(t.Name, outstanding)...)
		if err != nil {
			ps.Close()
			return nil, fmt.Errorf("options that the client refuses: %w", err)
		}
		ps.clients = append(ps.clients, &producer{
			set: ps, number: i, cl: cl, partitions: t.Partitions, latencies: NewLatencies(),
			account: NewAccount(t.Partitions, o.Samples, o.Acks != 0),
		})
	}
	return ps, nil
}

// openLoopBuffer is how many records of one client may wait unanswered before the generator itself
// waits. Latency counts from the due time, so waiting there is not forgotten.
const openLoopBuffer = 100_000

// Start implements Load.
func (ps *producers) Start(s Span) <-chan struct{} {
	ps.span = s
	if ps.opts.Rate > 0 {
		ps.startOpen()
	} else {
		ps.startClosed()
	}
	done := make(chan struct{})
	go func() {
		ps.flying.Wait()
		close(done)
	}()
	return done
}

func (ps *producers) startClosed() {
	per, extra := ps.opts.Concurrency/len(ps.clients), ps.opts.Concurrency%len(ps.clients)
	for i, p := range ps.clients {
		n := per
		if i < extra {
			n++
		}
		ps.flying.Add(n)
		if ps.opts.Blocking {
			for range n {
				go p.newPlace().block()
			}
			continue
		}
		go func() {
			for range n {
				pl := p.newPlace()
				pl.answered = func(r *kgo.Record, err error) {
					if pl.settle(r, err) {
						pl.next(pl.answeredAt)
						return
					}
					ps.flying.Done()
				}
				pl.next(time.Now())
			}
		}()
	}
}

// next sends the place's next record, or gives the place up if there is none to send.
func (pl *place) next(now time.Time) {
	if !pl.p.set.take() {
		pl.p.set.flying.Done()
		return
	}
	pl.send(now)
}

// block sends one record after the other and sleeps until each is answered, as the goroutine of a
// request handler does. Answers then wake senders one by one, so that requests stay small.
func (pl *place) block() {
	defer pl.p.set.flying.Done()
	woken := make(chan bool, 1)
	pl.answered = func(r *kgo.Record, err error) { woken <- pl.settle(r, err) }
	for pl.p.set.take() {
		pl.send(time.Now())
		if !<-woken {
			return
		}
	}
}

// take claims the right to send one more record.
func (ps *producers) take() bool {
	return !ps.halted.Load() && (ps.opts.Records == 0 || ps.left.Add(-1) >= 0)
}

func (ps *producers) startOpen() {
	ps.flying.Add(1)
	go func() {
		defer ps.flying.Done()
		pace := newPacer(ps.opts.Rate)
		defer pace.close()
		for i := 0; ; i++ {
			due := pace.wait(&ps.halted)
			if !ps.take() {
				return
			}
			p := ps.clients[i%len(ps.clients)]
			pl, ok := p.free.Get().(*place)
			if !ok {
				pl = p.newPlace()
				pl.answered = func(r *kgo.Record, err error) {
					if pl.settle(r, err) {
						p.free.Put(pl)
					}
					ps.flying.Done()
				}
			}
			ps.flying.Add(1)
			pl.send(due)
		}
	}()
}

func (p *producer) newPlace() *place {
	variant := uint32(p.number)<<20 + p.places.Add(1)
	return &place{p: p, value: p.set.gen.NewPayload(p.set.opts.MessageSize, variant)}
}

// send makes the record that was due and gives it to the client, which may block.
func (pl *place) send(due time.Time) {
	p, g := pl.p, pl.p.set.gen
	n := p.sent.Add(1) - 1
	pl.due, pl.sequence = due, Sequence(p.number, n)
	g.Stamp(pl.value, pl.sequence, due)
	pl.key = g.Key(pl.key[:0], pl.sequence)
	pl.record = kgo.Record{Key: pl.key, Value: pl.value, Partition: int32((int64(p.number) + n) % int64(p.partitions)), Timestamp: due}
	p.cl.Produce(context.Background(), &pl.record, pl.answered)
}

// settle books an answer and tells whether the place may be used again: after an error the client may
// still be writing the record's bytes.
func (pl *place) settle(r *kgo.Record, err error) bool {
	p := pl.p
	pl.answeredAt = time.Now()
	if err != nil {
		p.account.Fail(r.Partition, err)
		p.set.halted.Store(true)
		p.set.fail()
		return false
	}
	if p.set.span.Holds(pl.due) {
		p.latencies.Record(pl.answeredAt.Sub(pl.due))
	}
	p.account.Ack(r.Partition, r.Offset, pl.sequence, len(r.Key)+len(r.Value))
	return true
}

// Halt implements Load.
func (ps *producers) Halt() { ps.halted.Store(true) }

// Close implements Load.
func (ps *producers) Close() {
	for _, p := range ps.clients {
		p.cl.Close()
	}
}

// Acked implements Load.
func (ps *producers) Acked() (n int64) {
	for _, p := range ps.clients {
		n += p.account.Acked.Load()
	}
	return n
}

// Accounts implements Load.
func (ps *producers) Accounts() (all []*Account) {
	for _, p := range ps.clients {
		all = append(all, p.account)
	}
	return all
}

// Latencies implements Load.
func (ps *producers) Latencies() *Latencies {
	sum := NewLatencies()
	for _, p := range ps.clients {
		sum.Merge(p.latencies)
	}
	return sum
}
