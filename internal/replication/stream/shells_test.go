package stream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

const (
	lagTime  = 2 * time.Second
	retry    = 50 * time.Millisecond
	patience = time.Second
)

// leading is the least that a shell around a replication.Leader does.
type leading struct {
	topic    model.TopicID
	part     int32
	log      memLog
	readTime time.Duration // of a cold read
	syncTime time.Duration // 0: at once

	mu    sync.Mutex
	core  *replication.Leader
	state replication.State
	lanes map[model.BrokerID]*Lane
	lost  map[model.BrokerID]int
	reads atomic.Int64
	moved chan struct{} // one element when the watermark has moved; may be nil
}

func epochOf(b model.BrokerID) model.BrokerEpoch { return 100 + model.BrokerEpoch(b) }

func newLeading(topic model.TopicID, part int32, replicas ...model.BrokerID) *leading {
	p := &leading{topic: topic, part: part, lanes: make(map[model.BrokerID]*Lane), lost: make(map[model.BrokerID]int)}
	p.log.hot = 1 << 30
	p.state = replication.State{Leader: replicas[0], LeaderEpoch: 5, PartitionEpoch: 1, Replicas: replicas, ISR: replicas}
	return p
}

// begin makes the core, when the log is what it is to be.
func (p *leading) begin() {
	p.log.led = p.state.LeaderEpoch
	p.core = replication.NewLeader(replication.LeaderOptions{
		Broker: p.state.Leader, BrokerEpoch: epochOf(p.state.Leader), State: p.state, Own: p.log.own(), History: &p.log,
		Config: replication.Config{MinISR: 1, LagTime: lagTime, Retry: retry},
		Live:   func(b model.BrokerID) (model.BrokerEpoch, bool) { return epochOf(b), true }, Now: time.Now(),
	})
}

// do calls the core, does what it asks for, and wakes the lanes.
func (p *leading) do(f func()) {
	p.mu.Lock()
	f()
	out := p.core.Take()
	woken := make([]*Lane, 0, 4)
	for _, lane := range p.lanes {
		woken = append(woken, lane)
	}
	p.mu.Unlock()
	for _, lane := range woken {
		lane.Wake()
	}
	if out.Moved && p.moved != nil {
		select {
		case p.moved <- struct{}{}:
		default:
		}
	}
	if out.Proposal != nil { // a controller that says yes, after a while
		time.AfterFunc(5*time.Millisecond, func() { p.commit(out.Proposal) })
	}
}

func (p *leading) commit(w *replication.Proposal) {
	p.do(func() {
		p.state.ISR = nil
		for _, m := range w.ISR {
			p.state.ISR = append(p.state.ISR, m.Broker)
		}
		p.state.PartitionEpoch++
		p.core.ProposalAnswered(w.Number, replication.Committed, p.state, time.Now())
	})
}

// produce appends a batch, and syncs it later.
func (p *leading) produce(count, size int) {
	p.do(func() {
		b := makeBatch(p.log.end(), count, p.state.LeaderEpoch, size)
		p.log.append(b.Bytes(), b)
		b.Release()
		if p.syncTime == 0 {
			p.log.syncTo(p.log.end())
		}
		p.core.OwnMoved(p.log.own(), time.Now())
	})
	if p.syncTime > 0 {
		end := p.log.own().End
		time.AfterFunc(p.syncTime, func() {
			p.log.syncTo(end)
			p.do(func() { p.core.OwnMoved(p.log.own(), time.Now()) })
		})
	}
}

func (p *leading) trim(to model.Offset) {
	p.log.trim(to)
	p.do(func() { p.core.OwnMoved(p.log.own(), time.Now()) })
}

func (p *leading) watermark() model.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.HighWatermark()
}

func (p *leading) inSync() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.core.InSync())
}

func (p *leading) Subscribe(m replication.Subscribe, lane *Lane) (a replication.Answer) {
	p.do(func() {
		a = p.core.Subscribe(m, time.Now())
		if _, ok := a.(replication.Accepted); ok {
			p.lanes[m.Broker] = lane
		}
	})
	return a
}

func (p *leading) Ack(from model.BrokerID, m replication.Ack) {
	p.do(func() { p.core.Ack(from, m, time.Now()) })
}

func (p *leading) Grant(from model.BrokerID, m replication.Credit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Grant(from, m)
}

func (p *leading) Next(to model.BrokerID, _ int, out *Outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.core.Overtaken(to); ok {
		out.Kind, out.Restart = Restarts, m
		return
	}
	if from, credit, ok := p.core.Next(to); ok {
		b, ok := p.log.inMemory(from)
		if !ok {
			out.Kind, out.From, out.Credit = ColdBatches, from, credit
		} else if m, ok := p.core.Send(to, from, b.end, b.bytes); ok {
			out.Kind, out.Batches, out.Owner = HotBatches, m, b.owner
		} else {
			b.owner.Release()
		}
		return
	}
	if m, ok := p.core.Watermark(to); ok {
		out.Kind, out.Watermark = NewWatermark, m
	}
}

func (p *leading) Read(from model.Offset, most int) (Batches, error) {
	p.reads.Add(1)
	if p.readTime > 0 {
		<-time.After(p.readTime)
	}
	return p.log.read(from, most), nil
}

func (p *leading) Send(to model.BrokerID, from model.Offset, read Batches, most int) (replication.Batches, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if read.End > p.log.own().End {
		return replication.Batches{}, false
	}
	n, end := firstOf(read.Bytes, most)
	return p.core.Send(to, from, end, read.Bytes[:n])
}

func (p *leading) LinkLost(to model.BrokerID, n replication.Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.LinkLost(to, n)
	delete(p.lanes, to)
	p.lost[to]++
}

// following is the least that a shell around a replication.Follower does.
type following struct {
	me       model.BrokerID
	log      memLog
	syncTime time.Duration // 0: at once
	twice    bool          // each question is sent twice

	mu    sync.Mutex
	core  *replication.Follower
	route *Route
	tally tally
}

// tally is what a follower went through.
type tally struct {
	asked    int // questions
	lost     int // links
	restarts int
	cuts     []model.Offset
	largest  int // bytes that came in one message
}

func (f *following) history() tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally
}

func (p *leading) lostBy(id model.BrokerID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost[id]
}

func newFollowing(me model.BrokerID, topic model.TopicID, part int32, numbers *atomic.Uint64, window int) *following {
	f := &following{me: me}
	f.core = replication.NewFollower(replication.FollowerOptions{
		TopicID: topic, Partition: part, Broker: me, BrokerEpoch: epochOf(me), History: &f.log,
		Number: func() replication.Subscription { return replication.Subscription(numbers.Add(1)) },
		Window: window, Retry: retry, Patience: patience,
	})
	return f
}

// do calls the core and does what it asks for.
func (f *following) do(call func()) {
	f.mu.Lock()
	call()
	out := f.core.Take()
	if t := out.Truncate; t != nil {
		if t.All {
			f.tally.restarts++
			f.log.restart(t.To)
		} else {
			f.tally.cuts = append(f.tally.cuts, t.To)
			f.log.cut(t.To)
		}
		f.core.Truncated(f.log.own(), time.Now())
		next := f.core.Take()
		out.Subscribe, out.DeleteTo = next.Subscribe, 0
	}
	if out.DeleteTo > 0 {
		f.log.trim(out.DeleteTo)
		f.core.OwnMoved(f.log.own(), time.Now())
	}
	if out.Subscribe != nil {
		f.tally.asked++
	}
	f.mu.Unlock()
	if out.Subscribe != nil {
		f.route.Subscribe(*out.Subscribe)
		if f.twice {
			f.route.Subscribe(*out.Subscribe)
		}
	}
	f.route.Wake()
}

func (f *following) follow(leader model.BrokerID, epoch model.LeaderEpoch) {
	f.do(func() { f.core.Follow(leader, epoch, f.log.own(), time.Now()) })
}

func (f *following) tick() {
	f.mu.Lock()
	f.core.Tick(time.Now())
	out := f.core.Take()
	f.mu.Unlock()
	if out.Subscribe != nil {
		f.route.Subscribe(*out.Subscribe)
	}
}

func (f *following) watermark() model.Offset {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.core.Watermark()
}

func (f *following) streaming() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.core.Streaming()
}

func (f *following) Answer(a replication.Answer) { f.do(func() { f.core.Answer(a, time.Now()) }) }

func (f *following) Batches(m replication.Batches, owner *mem.Buf) {
	f.do(func() {
		f.tally.largest = max(f.tally.largest, len(m.Bytes))
		if !f.core.Batches(m, time.Now()) {
			return
		}
		if !f.log.append(m.Bytes, owner) {
			panic("R2: batches were accepted that do not follow")
		}
		if f.syncTime == 0 {
			f.log.syncTo(m.End)
		} else {
			time.AfterFunc(f.syncTime, func() {
				f.log.syncTo(m.End)
				f.do(func() { f.core.OwnMoved(f.log.own(), time.Now()) })
			})
		}
		f.core.OwnMoved(f.log.own(), time.Now())
	})
}

func (f *following) Watermark(m replication.Watermark) { f.do(func() { f.core.HearWatermark(m) }) }

func (f *following) Report(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Ack, r.HasAck = f.core.Ack()
	r.Credit, r.HasCredit = f.core.Credit()
}

func (f *following) LinkLost() {
	f.do(func() {
		f.tally.lost++
		f.core.LinkLost(time.Now())
	})
}

// partitions is what a leader broker leads.
type partitions []*leading

func (p partitions) Leading(topic model.TopicID, part int32) Leading {
	i := slices.IndexFunc(p, func(l *leading) bool { return l.topic == topic && l.part == part })
	if i < 0 {
		return nil
	}
	return p[i]
}
