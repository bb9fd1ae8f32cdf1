package stream

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// benchLeading is a shell that costs as little as a shell can: all its batches are the same bytes.
type benchLeading struct {
	mu     sync.Mutex
	core   *replication.Leader
	end    model.Offset
	batch  *mem.Buf
	lane   *Lane
	moved  chan struct{}
	opened chan struct{}
}

func (p *benchLeading) own() replication.Own { return replication.Own{End: p.end, Synced: p.end} }

func (p *benchLeading) Leading(model.TopicID, int32) Leading { return p }

func (p *benchLeading) produce() {
	p.mu.Lock()
	p.end++
	p.core.OwnMoved(p.own(), time.Time{})
	p.mu.Unlock()
	p.lane.Wake()
}

func (p *benchLeading) Subscribe(m replication.Subscribe, lane *Lane) replication.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lane = lane
	close(p.opened)
	return p.core.Subscribe(m, time.Time{})
}

func (p *benchLeading) Ack(from model.BrokerID, m replication.Ack) {
	p.mu.Lock()
	p.core.Ack(from, m, time.Time{})
	moved := p.core.Take().Moved
	p.mu.Unlock()
	if !moved {
		return
	}
	p.lane.Wake()
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

func (p *benchLeading) Grant(from model.BrokerID, m replication.Credit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Grant(from, m)
}

func (p *benchLeading) Next(to model.BrokerID, _ int, out *Outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from, _, ok := p.core.Next(to); ok {
		if out.Batches, ok = p.core.Send(to, from, from+1, p.batch.Bytes()); ok {
			p.batch.Retain()
			out.Kind, out.Owner = HotBatches, p.batch
		}
		return
	}
	if m, ok := p.core.Watermark(to); ok {
		out.Kind, out.Watermark = NewWatermark, m
	}
}

func (p *benchLeading) Read(model.Offset, int) (Batches, error) { return Batches{}, nil }

func (p *benchLeading) Send(model.BrokerID, model.Offset, model.Offset, []byte) (replication.Batches, bool) {
	return replication.Batches{}, false
}

func (p *benchLeading) LinkLost(model.BrokerID, replication.Subscription) {}

// benchFollowing syncs at once what it is sent.
type benchFollowing struct {
	mu    sync.Mutex
	core  *replication.Follower
	own   replication.Own
	route *Route
}

func (f *benchFollowing) Answer(a replication.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.core.Answer(a, time.Time{})
}

func (f *benchFollowing) Batches(m replication.Batches, owner *mem.Buf) {
	f.mu.Lock()
	owner.Retain() // as a log does until it has written
	if f.core.Batches(m, time.Time{}) {
		f.own.End, f.own.Synced = m.End, m.End
		f.core.OwnMoved(f.own, time.Time{})
		f.core.Take()
	}
	owner.Release()
	f.mu.Unlock()
	f.route.Wake()
}

func (f *benchFollowing) Watermark(m replication.Watermark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.core.HearWatermark(m)
	f.core.Take()
}

func (f *benchFollowing) Report(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Ack, r.HasAck = f.core.Ack()
	r.Credit, r.HasCredit = f.core.Credit()
}

func (f *benchFollowing) LinkLost() {}

type noHistory struct{}

func (noHistory) LastEpoch() model.LeaderEpoch { return model.NoEpoch }
func (noHistory) EpochEnd(model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	return model.NoEpoch, model.NoOffset
}

// oneEpoch is the history of a log that has begun an epoch and holds nothing yet.
type oneEpoch model.LeaderEpoch

func (oneEpoch) LastEpoch() model.LeaderEpoch { return model.NoEpoch }
func (o oneEpoch) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	if e == model.LeaderEpoch(o) {
		return e, 0
	}
	return model.NoEpoch, model.NoOffset
}

// BenchmarkBatch: one batch of 256 bytes goes to the follower, its acknowledgement comes back, and the watermark moves; 256 batches are under
// way, over TCP on loopback. Both brokers are in this process.
func BenchmarkBatch(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	lead := &benchLeading{batch: mem.Get(256), moved: make(chan struct{}, 1), opened: make(chan struct{})}
	isr := []model.BrokerID{1, 2}
	lead.core = replication.NewLeader(replication.LeaderOptions{
		Broker: 1, BrokerEpoch: epochOf(1), State: replication.State{Leader: 1, LeaderEpoch: 5, PartitionEpoch: 1, Replicas: isr, ISR: isr},
		History: oneEpoch(5), Config: replication.Config{MinISR: 2, LagTime: time.Hour, Retry: time.Second},
		Live: func(b model.BrokerID) (model.BrokerEpoch, bool) { return epochOf(b), true },
	})
	follow := &benchFollowing{core: replication.NewFollower(replication.FollowerOptions{
		TopicID: model.TopicID{1}, Broker: 2, BrokerEpoch: epochOf(2), History: noHistory{}, Window: 1 << 20, Retry: time.Second, Patience: time.Hour,
		Number: func() replication.Subscription { return 1 },
	})}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	senders := NewSenders(lead, NewColdReads(1))
	server := &link.Server{Config: func() link.Config { return linkConfig(1) }, Open: senders.Open}
	done.Go(func() { _ = server.Serve(ctx, listener) })
	receiver := NewReceiver()
	follow.route = receiver.Follow(follow)
	dialer := link.NewDialer(link.DialerOptions{
		Config: linkConfig(2), Role: link.Replication, Node: 1, Address: listener.Addr().String(), Owner: receiver,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		},
	})
	done.Go(func() { dialer.Run(ctx) })
	follow.mu.Lock()
	follow.core.Follow(1, 5, follow.own, time.Time{})
	ask := *follow.core.Take().Subscribe
	follow.mu.Unlock()
	follow.route.Subscribe(ask)
	<-lead.opened

	b.ReportAllocs()
	b.ResetTimer()
	committed := func() model.Offset {
		lead.mu.Lock()
		defer lead.mu.Unlock()
		return lead.core.HighWatermark()
	}
	for i := range b.N {
		for model.Offset(i)-committed() >= 256 {
			<-lead.moved
		}
		lead.produce()
	}
	for committed() < model.Offset(b.N) {
		<-lead.moved
	}
	b.StopTimer()
	stop()
	done.Wait()
}
