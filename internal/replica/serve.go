package replica

import (
	"slices"
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/replication/stream"
)

var _ stream.Leading = (*member)(nil)

// subscriber is a follower that streams, or has.
type subscriber struct {
	id     model.BrokerID
	lane   *stream.Lane
	number replication.Subscription
	sent   model.Offset
	leave  int // bytes that the throttle lets it be sent
}

// Subscribe answers a follower's question; nil: it has been given up, and needs no answer.
func (m *member) Subscribe(q replication.Subscribe, lane *stream.Lane) replication.Answer {
	m.mu.Lock()
	defer m.unlock()
	if m.leader == nil {
		return m.notLeading(&q)
	}
	now := time.Now()
	m.moved(now)
	answer := m.leader.Subscribe(q, now)
	if a, ok := answer.(replication.Accepted); ok {
		m.unsubscribe(q.Broker)
		m.subscribers = append(m.subscribers, subscriber{id: q.Broker, lane: lane, number: a.Subscription, sent: a.From})
		m.wakeLane(lane)
	}
	return answer
}

// notLeading refuses a follower that knows more than this broker, or less.
func (m *member) notLeading(q *replication.Subscribe) replication.Answer {
	refused := replication.Refused{
		Reply:  replication.Reply{Subscription: q.Subscription, LeaderEpoch: q.LeaderEpoch, BrokerEpoch: q.BrokerEpoch},
		Reason: replication.NotLeading, Current: model.NoEpoch,
	}
	if q.LeaderEpoch > m.epoch {
		refused.Reason = replication.UnknownLeaderEpoch
	}
	return refused
}

// Ack takes a follower's acknowledgement.
func (m *member) Ack(from model.BrokerID, a replication.Ack) {
	m.mu.Lock()
	defer m.unlock()
	if m.leader != nil {
		m.leader.Ack(from, a, time.Now())
	}
}

// Grant takes a follower's credit.
func (m *member) Grant(from model.BrokerID, c replication.Credit) {
	m.mu.Lock()
	defer m.unlock()
	if m.leader == nil {
		return
	}
	m.leader.Grant(from, c)
	if i := m.subscribed(from); i >= 0 {
		m.wakeLane(m.subscribers[i].lane)
	}
}

// LinkLost tells that the link has ended over which a follower had that subscription.
func (m *member) LinkLost(to model.BrokerID, number replication.Subscription) {
	m.mu.Lock()
	defer m.unlock()
	if i := m.subscribed(to); i >= 0 && m.subscribers[i].number == number {
		m.unsubscribe(to)
	}
	if m.leader != nil {
		m.leader.LinkLost(to, number)
	}
}

// Next takes the next thing to be sent to a follower: of batches in memory one, and of others how much the follower takes.
func (m *member) Next(to model.BrokerID, _ int, out *stream.Outgoing) {
	*out = stream.Outgoing{}
	m.mu.Lock()
	defer m.unlock()
	i := m.subscribed(to)
	if i < 0 || m.leader == nil {
		return
	}
	if restart, ok := m.leader.Overtaken(to); ok {
		out.Kind, out.Restart = stream.Restarts, restart
		return
	}
	if from, credit, ok := m.leader.Next(to); ok {
		s := &m.subscribers[i]
		if credit = m.leave(s, credit); credit > 0 && m.nextBatches(s, from, credit, out) {
			return
		}
	}
	if w, ok := m.leader.Watermark(to); ok {
		out.Kind, out.Watermark = stream.NewWatermark, w
	}
}

// nextBatches takes one batch out of memory, or says where to read.
func (m *member) nextBatches(s *subscriber, from model.Offset, credit int, out *stream.Outgoing) bool {
	e := m.tail.at(from)
	if e == nil {
		if from >= m.log.DurableEnd() {
			return false // the log's next report wakes the lane
		}
		out.Kind, out.From, out.Credit = stream.ColdBatches, from, credit
		return true
	}
	b, ok := m.leader.Send(s.id, from, e.next, e.batch)
	if !ok {
		return false
	}
	if e.owner != nil {
		e.owner.Retain()
	}
	out.Kind, out.Batches, out.Owner = stream.HotBatches, b, e.owner
	m.spend(s, len(b.Bytes))
	m.sent(s, e.next)
	return true
}

// Read reads durable batches from the log, for a follower that is behind. It waits for the disk.
func (m *member) Read(from model.Offset, most int) (stream.Batches, error) {
	m.mu.Lock()
	log := m.log
	m.mu.Unlock()
	if log == nil || from >= log.DurableEnd() {
		return stream.Batches{End: from}, nil
	}
	region, err := log.Read(from, log.DurableEnd(), most, true)
	if err != nil {
		m.advanced() // what retention has taken meanwhile, the core knows how to tell
		return stream.Batches{End: from}, m.r.storage(err)
	}
	defer region.Release()
	if region.Len() == 0 {
		return stream.Batches{End: region.Next()}, nil
	}
	owner := mem.Get(region.Len()) // bounded by the reads that a link may have
	bytes, err := region.ReadAll(owner.Bytes()[:0])
	if err != nil {
		owner.Release()
		return stream.Batches{End: from}, m.r.storage(err)
	}
	return stream.Batches{Bytes: bytes, End: region.Next(), Owner: owner}, nil
}

// Send counts the first of what Read returned as sent.
func (m *member) Send(to model.BrokerID, from model.Offset, read stream.Batches, most int) (replication.Batches, bool) {
	m.mu.Lock()
	defer m.unlock()
	i := m.subscribed(to)
	if i < 0 || m.leader == nil {
		return replication.Batches{}, false
	}
	m.moved(time.Now()) // what was read may have been cut off and led again since: nothing below the end differs from it
	if read.End > m.end || read.End > m.log.DurableEnd() {
		return replication.Batches{}, false
	}
	bytes, end := firstOf(read, most)
	b, ok := m.leader.Send(to, from, end, bytes)
	if ok {
		m.spend(&m.subscribers[i], len(bytes))
		m.sent(&m.subscribers[i], end)
	}
	return b, ok
}

// firstOf is the first whole batches of what was read, of at most most bytes, or one batch, and where they end.
func firstOf(read stream.Batches, most int) (bytes []byte, end model.Offset) {
	n := 0
	for n < len(read.Bytes) {
		b, _, err := record.Next(read.Bytes[n:])
		if err != nil {
			return read.Bytes, read.End // what cannot be taken apart here, the follower refuses
		}
		if n > 0 && n+len(b) > most {
			return read.Bytes[:n], end
		}
		n, end = n+len(b), b.LastOffset()+1
	}
	return read.Bytes, read.End
}

// sent lets go of what every follower that streams has been sent.
func (m *member) sent(s *subscriber, end model.Offset) {
	s.sent = end
	lowest := m.end
	for i := range m.subscribers {
		lowest = min(lowest, m.subscribers[i].sent)
	}
	m.tail.drop(lowest)
}

// wakeBehind tells the streams that are to read from the log that there is more to read.
func (m *member) wakeBehind() {
	synced := m.log.DurableEnd()
	for i := range m.subscribers {
		if s := &m.subscribers[i]; s.sent < synced {
			m.wakeLane(s.lane)
		}
	}
}

// wakeAll tells all streams that there may be something for them.
func (m *member) wakeAll() {
	for i := range m.subscribers {
		m.wakeLane(m.subscribers[i].lane)
	}
}

func (m *member) wakeLane(l *stream.Lane) {
	if !slices.Contains(m.out.lanes, l) {
		m.out.lanes = append(m.out.lanes, l)
	}
}

func (m *member) subscribed(id model.BrokerID) int {
	return slices.IndexFunc(m.subscribers, func(s subscriber) bool { return s.id == id })
}

func (m *member) unsubscribe(id model.BrokerID) {
	if i := m.subscribed(id); i >= 0 {
		m.forgo(&m.subscribers[i])
		m.subscribers = slices.Delete(m.subscribers, i, i+1)
	}
	if len(m.subscribers) == 0 {
		m.tail.clear()
	}
}

func (m *member) unsubscribeAll() {
	for i := range m.subscribers {
		m.forgo(&m.subscribers[i])
	}
	m.subscribers = nil
	m.tail.clear()
}

// Leading implements stream.Partitions.
func (s *Set) Leading(topic model.TopicID, partition int32) stream.Leading {
	r := s.Find(topic, partition)
	if r == nil {
		return nil
	}
	m := r.member.Load()
	if m == nil || r.lead.Load() == nil {
		return nil
	}
	return m
}
