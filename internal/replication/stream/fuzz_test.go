package stream

import (
	"errors"
	"testing"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// heard is a Leading and a Following that checks what reaches it.
type heard struct{ t *testing.T }

func (h heard) own(o replication.Own) {
	if o.Start < model.NoOffset || o.End < model.NoOffset || o.Synced < model.NoOffset {
		h.t.Errorf("impossible offsets: %+v", o)
	}
}

func (h heard) Ack(_ model.BrokerID, m replication.Ack)           { h.own(m.Own) }
func (h heard) Next(model.BrokerID, int, *Outgoing)               {}
func (h heard) Read(model.Offset, int) (Batches, error)           { return Batches{}, nil }
func (h heard) LinkLost(model.BrokerID, replication.Subscription) {}
func (h heard) Subscribe(replication.Subscribe, *Lane) replication.Answer {
	return nil
}

func (h heard) Grant(_ model.BrokerID, m replication.Credit) {
	if m.Bytes < 0 {
		h.t.Errorf("a credit of %d", m.Bytes)
	}
}

func (h heard) Send(model.BrokerID, model.Offset, Batches, int) (replication.Batches, bool) {
	return replication.Batches{}, false
}

// heardAnswers is the same for a follower.
type heardAnswers struct{ heard }

func (h heardAnswers) LinkLost()      {}
func (h heardAnswers) Report(*Report) {}

func (h heardAnswers) Answer(a replication.Answer) {
	if a == nil || a.About().Subscription != 1 {
		h.t.Errorf("answer %+v", a)
	}
}

func (h heardAnswers) Batches(m replication.Batches, _ *mem.Buf) {
	if m.From < 0 || m.End <= m.From || m.Subscription != 1 {
		h.t.Errorf("batches %+v", m)
	}
}

func (h heardAnswers) Watermark(m replication.Watermark) {
	if m.HighWatermark < model.NoOffset || m.LogStart < model.NoOffset || m.Subscription != 1 {
		h.t.Errorf("watermark %+v", m)
	}
}

// FuzzSenderFrame: any frame of a follower is taken or refused (E2).
func FuzzSenderFrame(f *testing.F) {
	f.Add(frameSubscribes, appendSubscribe(nil, &subscribe))
	f.Add(frameProgress, appendProgress(appendProgress(nil, &Report{HasAck: true, Ack: ack}), &Report{HasCredit: true, Credit: credit}))
	f.Add(frameBatches, []byte("not from a follower"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if kind == frameSubscribes {
			d := decoder{b: body}
			for d.more() && d.bad == "" {
				m := d.subscribe()
				if d.bad != "" {
					break
				}
				again := decoder{b: appendSubscribe(nil, &m)}
				if got := again.subscribe(); got != m || again.more() || again.err("") != nil {
					t.Errorf("%+v is written as %+v", m, got)
				}
			}
			return
		}
		s := &Sender{to: 2, byNum: make(map[replication.Subscription]*Lane)}
		lane := &Lane{sender: s, partition: heard{t}}
		lane.queued.Store(true) // it needs no link to wake
		for n := range replication.Subscription(400) {
			s.byNum[n] = lane
		}
		if err := s.Frame(kind, body, nil); err != nil && !errors.Is(err, ErrMessage) {
			t.Errorf("refused with %v", err)
		}
	})
}

// FuzzReceiverFrame: any frame of a leader is taken or refused (E2).
func FuzzReceiverFrame(f *testing.F) {
	for _, a := range answers {
		f.Add(frameAnswers, appendAnswer(nil, a))
	}
	b, w := batches, watermark
	b.Subscription, w.Subscription = 1, 1
	f.Add(frameBatches, append(appendBatches(nil, &b), b.Bytes...))
	f.Add(frameWatermarks, appendWatermark(appendWatermark(nil, &w), &watermark))
	f.Add(frameSubscribes, []byte("not from a leader"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := NewReceiver()
		r.byNum[1] = &Route{receiver: r, partition: heardAnswers{heard{t}}}
		s := &receiving{receiver: r}
		if err := s.Frame(kind, body, nil); err != nil && !errors.Is(err, ErrMessage) {
			t.Errorf("refused with %v", err)
		}
	})
}
