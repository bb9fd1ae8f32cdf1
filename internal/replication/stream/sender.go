package stream

import (
	"fmt"
	"sync"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

const (
	// quantum is how many bytes a partition may send before it is the next one's turn, wherever they come from.
	quantum = 64 << 10
	// maxAsks is how many Subscribes of a follower may be unanswered. No broker has so many partitions.
	maxAsks = 1 << 20
)

type partitionKey struct {
	topic     model.TopicID
	partition int32
}

// Sender sends one follower broker, over one link, what it has subscribed to. It is the link's Session.
type Sender struct {
	set  *Senders
	link *link.Link
	to   model.BrokerID

	mu     sync.Mutex
	asks   []replication.Subscribe // not answered yet
	ready  []*Lane
	byKey  map[partitionKey]*Lane
	byNum  map[replication.Subscription]*Lane // of the present subscriptions
	closed bool

	// The writer's own.
	turns    turns[Lane]
	wantCold []*coldRead
	cold     int // reads that were submitted and not sent yet
	answers  []byte
	marks    []byte
	scratch  []byte
	out      Outgoing

	// The reader's own.
	report Report
	ended  chan struct{} // closed when all has been told that the link is lost
}

var _ link.Session = (*Sender)(nil)

func newSender(set *Senders, l *link.Link) *Sender {
	return &Sender{
		set: set, link: l, to: l.Peer().Node,
		byKey: make(map[partitionKey]*Lane), byNum: make(map[replication.Subscription]*Lane), ended: make(chan struct{}),
	}
}

// Frame takes what the follower says.
func (s *Sender) Frame(kind byte, body []byte, _ *mem.Buf) error {
	switch kind {
	case frameProgress:
		return s.progress(body)
	case frameSubscribes:
		return s.ask(body)
	}
	return fmt.Errorf("%w: a follower sent a frame of type %d", ErrMessage, kind)
}

// Drained has nothing to do: what acknowledgements have moved has woken its lanes.
func (s *Sender) Drained() {}

// progress passes on what the follower has acknowledged. What belongs to no present subscription is late, and means nothing.
func (s *Sender) progress(body []byte) error {
	d := decoder{b: body}
	for d.more() {
		d.progress(&s.report)
		if err := d.err("progress"); err != nil {
			return err
		}
		r := &s.report
		number := r.Ack.Subscription
		if !r.HasAck {
			number = r.Credit.Subscription
		}
		s.mu.Lock()
		lane := s.byNum[number]
		s.mu.Unlock()
		if lane == nil {
			continue
		}
		if r.HasAck {
			lane.partition.Ack(s.to, r.Ack)
		}
		if r.HasCredit {
			lane.partition.Grant(s.to, r.Credit)
			lane.Wake()
		}
	}
	return nil
}

// ask keeps subscriptions for the writer to answer.
func (s *Sender) ask(body []byte) error {
	d := decoder{b: body}
	var asks []replication.Subscribe
	for d.more() {
		m := d.subscribe()
		if err := d.err("subscriptions"); err != nil {
			return err
		}
		if m.Broker != s.to {
			return fmt.Errorf("%w: node %d subscribes as broker %d", ErrMessage, s.to, m.Broker)
		}
		asks = append(asks, m)
	}
	s.mu.Lock()
	s.asks = append(s.asks, asks...)
	n := len(s.asks)
	s.mu.Unlock()
	if n > maxAsks {
		return fmt.Errorf("%w: %d subscriptions are asked for at once", ErrMessage, n)
	}
	s.link.Wake()
	return nil
}

// Fill sends what there is, a quantum of each partition in turn.
func (s *Sender) Fill(out *link.Batch) (more bool) {
	if err := s.fill(out); err != nil {
		s.link.Close(err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asks) > 0 || len(s.ready) > 0 || !s.turns.empty()
}

func (s *Sender) fill(out *link.Batch) error {
	if err := s.answerAsks(out); err != nil {
		return err
	}
	for !out.Full() {
		lane := s.turns.pop(&s.mu, &s.ready)
		if lane == nil {
			break
		}
		lane.queued.Store(false)
		if err := s.serve(lane, out); err != nil {
			return err
		}
	}
	s.readCold()
	if err := s.flushAnswers(out, 1); err != nil {
		return err
	}
	return s.flushMarks(out, 1)
}

// answerAsks answers the subscriptions that have come, before anything of them is sent.
func (s *Sender) answerAsks(out *link.Batch) error {
	s.mu.Lock()
	asks := s.asks
	s.asks = nil
	s.mu.Unlock()
	for i := range asks {
		if a := s.subscribe(&asks[i]); a != nil {
			s.answers = appendAnswer(s.answers, a)
		}
		if err := s.flushAnswers(out, listBytes); err != nil {
			return err
		}
	}
	return s.flushAnswers(out, 1)
}

// subscribe asks the partition. nil is no answer.
func (s *Sender) subscribe(m *replication.Subscribe) replication.Answer {
	p := s.set.partitions.Leading(m.TopicID, m.Partition)
	if p == nil {
		return replication.Refused{
			Reply:  replication.Reply{Subscription: m.Subscription, LeaderEpoch: m.LeaderEpoch, BrokerEpoch: m.BrokerEpoch},
			Reason: replication.NotLeading, Current: model.NoEpoch,
		}
	}
	key := partitionKey{m.TopicID, m.Partition}
	s.mu.Lock()
	lane := s.byKey[key]
	s.mu.Unlock()
	if lane == nil || lane.partition != p {
		lane = &Lane{sender: s, partition: p, key: key}
	}
	answer := p.Subscribe(*m, lane)
	if _, ok := answer.(replication.Accepted); ok {
		s.register(lane, m.Subscription)
		lane.Wake()
	}
	return answer
}

// register makes a lane the one of its partition and subscription.
func (s *Sender) register(lane *Lane, number replication.Subscription) {
	s.mu.Lock()
	old := s.byKey[lane.key]
	if old != nil {
		delete(s.byNum, old.number)
	}
	s.byKey[lane.key], s.byNum[number] = lane, lane
	lane.number = number
	s.mu.Unlock()
	if old != nil && old != lane { // the shell was replaced, and knows nothing of this link
		old.partition.LinkLost(s.to, old.number)
	}
}

// serve sends a quantum of one partition.
func (s *Sender) serve(lane *Lane, out *link.Batch) error {
	end := out.Size() + quantum
	for {
		if lane.reading {
			if sent, err := s.sendCold(lane, out); !sent || err != nil {
				return err
			}
		} else if sent, err := s.sendNext(lane, out); !sent || err != nil {
			return err
		}
		if out.Full() || out.Size() >= end {
			if !lane.queued.Swap(true) {
				s.push(lane)
			}
			return nil
		}
	}
}

// sendNext sends what the partition has next. It is false if there is nothing more to send now.
func (s *Sender) sendNext(lane *Lane, out *link.Batch) (sent bool, err error) {
	o := &s.out
	*o = Outgoing{}
	wakes := lane.wakes.Load()
	lane.partition.Next(s.to, max(1, min(quantum, out.Room())), o)
	switch o.Kind {
	case HotBatches:
		err := s.emit(out, &o.Batches, o.Owner)
		if o.Owner != nil {
			o.Owner.Release()
		}
		o.Owner, o.Batches.Bytes = nil, nil
		return true, err
	case ColdBatches:
		lane.reading = true
		s.wantCold = append(s.wantCold, &coldRead{
			lane: lane, number: lane.number, from: o.From, most: max(1, min(o.Credit, coldBytes)), wakes: wakes,
		})
	case NewWatermark:
		s.marks = appendWatermark(s.marks, &o.Watermark)
		return true, s.flushMarks(out, listBytes)
	case Restarts:
		s.answers = appendAnswer(s.answers, o.Restart)
		return true, s.flushAnswers(out, listBytes)
	}
	return false, nil
}

// emit writes the frame of one message.
func (s *Sender) emit(out *link.Batch, m *replication.Batches, owner *mem.Buf) error {
	s.scratch = appendBatches(s.scratch[:0], m)
	out.Begin(frameBatches)
	out.Append(s.scratch)
	out.Attach(m.Bytes, owner)
	return out.End()
}

// flushAnswers and flushMarks send what has been gathered, if it is at least so many bytes.
func (s *Sender) flushAnswers(out *link.Batch, least int) (err error) {
	s.answers, err = flush(out, frameAnswers, s.answers, least)
	return err
}

func (s *Sender) flushMarks(out *link.Batch, least int) (err error) {
	s.marks, err = flush(out, frameWatermarks, s.marks, least)
	return err
}

func flush(out *link.Batch, kind byte, list []byte, least int) ([]byte, error) {
	if len(list) < least {
		return list, nil
	}
	out.Begin(kind)
	out.Append(list)
	return list[:0], out.End()
}

// push adds a lane to those that are ready.
func (s *Sender) push(lane *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.ready = append(s.ready, lane)
	}
}

// Closed tells all partitions that the link is lost.
func (s *Sender) Closed(error) {
	s.mu.Lock()
	s.closed = true
	lanes := s.byKey
	s.byKey, s.byNum, s.ready, s.asks = nil, nil, nil, nil
	for _, lane := range lanes {
		if lane.found != nil {
			lane.found.drop()
			lane.found = nil
		}
	}
	s.mu.Unlock()
	for _, lane := range lanes {
		lane.partition.LinkLost(s.to, lane.number)
	}
	s.set.forget(s)
	close(s.ended)
}
