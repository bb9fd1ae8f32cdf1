package sharing

import (
	"context"
	"errors"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/coordinator/share"
)

// Acknowledgement is what a member says of records of a partition. With an error, whoever has taken the request apart has refused it already.
type Acknowledgement struct {
	Partition sharesession.Partition
	Batches   []sharepartition.AckBatch
	Err       error
}

// Outcome is what became of an Acknowledgement: nil, it is written.
type Outcome struct {
	Partition sharesession.Partition
	Err       error
}

// Acknowledge does what a ShareAcknowledge says. The error is that of the whole request, and then none of it was done.
func (s *Shares) Acknowledge(ctx context.Context, k sharesession.Key, epoch int32, acks []Acknowledgement) ([]Outcome, error) {
	s.mu.Lock()
	last, err := s.sessions.Acknowledge(k, epoch)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out, err := s.begin(k, acks).wait(ctx)
	if last {
		s.end(k)
	}
	return out, err
}

// acknowledging is acknowledgements whose outcome is waited for.
type acknowledging struct {
	out   []Outcome
	heard chan heard
}

// heard is the outcome of the acknowledgement of that index.
type heard struct {
	i   int
	err error
}

// begin acknowledges. It does not wait for what is written.
func (s *Shares) begin(k sharesession.Key, acks []Acknowledgement) acknowledging {
	w := acknowledging{make([]Outcome, len(acks)), make(chan heard, len(acks))}
	for i, a := range acks {
		w.out[i].Partition = a.Partition
		reply := func(err error) { w.heard <- heard{i, err} }
		l := s.known(k.Group, a.Partition)
		switch {
		case a.Err != nil:
			reply(a.Err)
		case len(a.Batches) == 0:
			reply(nil)
		case l == nil:
			reply(share.ErrUnknownPartition)
		default:
			if err := l.ask(func(now time.Time) { l.acknowledge(now, k.Member, a.Batches, reply) }); err != nil {
				reply(err)
			}
		}
	}
	return w
}

// wait waits for all outcomes, as long as somebody waits for the answer.
func (w acknowledging) wait(ctx context.Context) ([]Outcome, error) {
	for range w.out {
		select {
		case h := <-w.heard:
			if errors.Is(h.err, errUnused) {
				h.err = share.ErrUnknownPartition
			}
			w.out[h.i].Err = h.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return w.out, nil
}

func (l *led) acknowledge(now time.Time, member string, batches []sharepartition.AckBatch, reply func(error)) {
	if err := l.over(); err != nil {
		reply(err)
		return
	}
	if l.p == nil { // nobody has acquired anything of this leader
		reply(sharepartition.ErrInvalidRecordState)
		return
	}
	l.p.Config = l.s.o.Config(l.key.Group).Config
	l.p.Acknowledge(now, member, batches, reply)
}

// leave releases what a member has acquired.
func (l *led) leave(member string) {
	if l.p != nil {
		l.p.Leave(member)
		l.stirred = true
	}
}
