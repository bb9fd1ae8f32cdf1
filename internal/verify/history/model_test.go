package history_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"chronik/internal/verify/history"
)

// model is a correct cluster, or as much of one as its clients see: it makes histories in which nothing is violated.
type model struct {
	rnd    *rand.Rand
	events []*history.Event
	now    time.Duration
	logs   []*modelLog
	seq    []int64 // by producer
	acked  map[history.Value]bool
}

// modelLog is a partition: what is committed, and behind it what only the leader has.
type modelLog struct {
	number        int32
	records       []history.Value
	committed     int
	start         int64
	leader, epoch int32
	pending       []*modelWrite // without outcome for their producers, in the order of their invocation
	consumers     [2]int64
	reset         [2]bool // the consumer has no client
	listed        bool
}

type modelWrite struct {
	value history.Value
	at    int  // where its last copy stands, -1: nowhere
	sent  bool // a copy may have been stored
}

var modelProducers = []history.Producer{
	{Acks: -1, Idempotent: true, MaxInFlight: 5}, {Acks: -1, MaxInFlight: 5}, {Acks: 1, MaxInFlight: 5}, {Acks: -1, MaxInFlight: 1},
}

// generate makes a history of about so many events.
func generate(seed uint64, length int) []*history.Event {
	m := &model{rnd: rand.New(rand.NewPCG(seed, 1)), seq: make([]int64, len(modelProducers)), acked: map[history.Value]bool{}}
	for i, p := range modelProducers {
		m.emit(history.Event{Kind: history.Producing, Client: int32(i), Producer: &p})
	}
	for p := range int32(2) {
		l := &modelLog{number: p, leader: 1}
		m.logs = append(m.logs, l)
		m.emit(history.Event{Kind: history.Led, Partition: p, Client: 1})
		for c := range l.consumers {
			m.emit(history.Event{Kind: history.Positioned, Partition: p, Client: int32(c)})
		}
	}
	steps := []func(*modelLog){m.invoke, m.invoke, m.append, m.append, m.append, m.commit, m.commit, m.settle, m.settle, m.settle, m.poll, m.poll, m.list}
	for len(m.events) < length {
		l := m.logs[m.rnd.IntN(len(m.logs))]
		switch m.rnd.IntN(60) {
		case 0:
			m.elect(l)
		case 1:
			m.giveUp(l)
		case 2:
			m.restart(l)
		case 3:
			if m.rnd.IntN(5) == 0 {
				l.start += int64(m.rnd.IntN(l.committed - int(l.start) + 1))
			}
		default:
			steps[m.rnd.IntN(len(steps))](l)
		}
	}
	for _, l := range m.logs {
		m.finish(l)
	}
	return m.events
}

func (m *model) emit(e history.Event) {
	m.now += time.Duration(1 + m.rnd.IntN(int(time.Millisecond)))
	e.Time = m.now
	m.events = append(m.events, &e)
}

func (m *model) invoke(l *modelLog) {
	p := m.rnd.IntN(len(modelProducers))
	m.seq[p]++
	w := &modelWrite{value: history.Value{Producer: int32(p), Seq: m.seq[p]}, at: -1}
	l.pending = append(l.pending, w)
	m.emit(history.Event{Kind: history.Invoked, Partition: l.number, Value: w.value})
}

// append stores a pending write: the next in its producer's order if that is kept, and again if the producer may store it twice.
func (m *model) append(l *modelLog) {
	if len(l.pending) == 0 {
		return
	}
	w := l.pending[m.rnd.IntN(len(l.pending))]
	rules := modelProducers[w.value.Producer]
	if rules.Idempotent || rules.MaxInFlight == 1 {
		for _, o := range l.pending {
			if o.value.Producer != w.value.Producer {
				continue
			}
			if w = o; rules.MaxInFlight == 1 || o.at < 0 {
				break
			}
		}
	}
	if w.at >= 0 && (rules.Idempotent || m.rnd.IntN(10) > 0) {
		return
	}
	w.at, w.sent = len(l.records), true
	l.records = append(l.records, w.value)
}

func (m *model) commit(l *modelLog) {
	l.committed += m.rnd.IntN(len(l.records) - l.committed + 1)
}

// settle acknowledges a write that is stored as its producer demands. An idempotent one hears the answers in their order.
func (m *model) settle(l *modelLog) {
	for i, w := range l.pending {
		rules := modelProducers[w.value.Producer]
		if w.at >= 0 && (rules.Acks == 1 || w.at < l.committed) {
			l.pending = slices.Delete(l.pending, i, i+1)
			m.acked[w.value] = true
			m.emit(history.Event{Kind: history.Acked, Partition: l.number, Value: w.value, Offset: int64(w.at)})
			return
		}
	}
}

// giveUp ends a write otherwise.
func (m *model) giveUp(l *modelLog) {
	if len(l.pending) == 0 {
		return
	}
	i := m.rnd.IntN(len(l.pending))
	w := l.pending[i]
	l.pending = slices.Delete(l.pending, i, i+1)
	if !w.sent && m.rnd.IntN(2) == 0 {
		m.emit(history.Event{Kind: history.Failed, Partition: l.number, Value: w.value, Reason: "too large"})
		return
	}
	m.emit(history.Event{Kind: history.Unknown, Partition: l.number, Value: w.value, Reason: "no answer"})
}

// elect makes another node the leader, which has what is committed and perhaps some more. Producers send again what the old one took along.
func (m *model) elect(l *modelLog) {
	l.epoch++
	l.leader = l.leader%3 + 1
	m.emit(history.Event{Kind: history.Led, Partition: l.number, Client: -1, Offset: int64(l.epoch)})
	if m.rnd.IntN(2) == 0 { // the old one acknowledges what it has not yet heard is not its own any more
		m.settle(l)
	}
	l.records = l.records[:l.committed+m.rnd.IntN(len(l.records)-l.committed+1)]
	for _, w := range l.pending {
		if w.at >= len(l.records) {
			w.at = -1
		}
	}
	m.emit(history.Event{Kind: history.Led, Partition: l.number, Client: l.leader, Offset: int64(l.epoch)})
}

func (m *model) poll(l *modelLog) {
	c := m.rnd.IntN(len(l.consumers))
	at := l.consumers[c]
	from := max(at, l.start)
	n := m.rnd.IntN(l.committed - int(from) + 1)
	e := history.Event{Kind: history.Polled, Client: int32(c), Partition: l.number, Offset: at, Start: l.start, End: int64(l.committed)}
	if n > 0 {
		e.Runs = []history.Run{{Offset: from, Values: slices.Clone(l.records[from : from+int64(n)])}}
		l.consumers[c] = from + int64(n)
	}
	m.emit(e)
}

// restart lets a consumer come back where it was, or some records before.
func (m *model) restart(l *modelLog) {
	c := m.rnd.IntN(len(l.consumers))
	l.consumers[c] -= m.rnd.Int64N(min(l.consumers[c], 3) + 1)
	m.emit(history.Event{Kind: history.Positioned, Client: int32(c), Partition: l.number, Offset: l.consumers[c]})
}

func (m *model) list(l *modelLog) {
	m.emit(history.Event{Kind: history.Listed, Client: 9, Partition: l.number, Start: l.start, End: int64(l.committed)})
}

// finish heals: everything is committed, what is pending is of unknown outcome, and all is read.
func (m *model) finish(l *modelLog) {
	l.committed = len(l.records)
	for m.rnd.IntN(10) > 0 {
		m.settle(l)
	}
	for len(l.pending) > 0 {
		m.giveUp(l)
	}
	for at := l.start; at < int64(l.committed); {
		n := 1 + m.rnd.Int64N(int64(l.committed)-at)
		m.emit(history.Event{Kind: history.FinalRead, Partition: l.number, Runs: []history.Run{{Offset: at, Values: slices.Clone(l.records[at : at+n])}}})
		at += n
	}
	m.emit(history.Event{Kind: history.FinalBounds, Partition: l.number, Start: l.start, End: int64(l.committed)})
}
