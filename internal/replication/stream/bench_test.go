package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chronik/internal/link"
	"chronik/internal/link/certs/certstest"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// benchLeading is a shell that costs as little as a shell can: all its batches are the same bytes.
type benchLeading struct {
	rig    *benchRig
	mu     sync.Mutex
	core   *replication.Leader
	end    model.Offset
	marked model.Offset // the watermark that was counted
	lanes  map[model.BrokerID]*Lane
}

func (p *benchLeading) own() replication.Own { return replication.Own{End: p.end, Synced: p.end} }

func (p *benchLeading) produce() {
	p.mu.Lock()
	p.end++
	p.core.OwnMoved(p.own(), time.Time{})
	p.mu.Unlock()
	p.wake()
}

func (p *benchLeading) wake() {
	for _, lane := range p.lanes { // complete before the first batch
		lane.Wake()
	}
}

func (p *benchLeading) Subscribe(m replication.Subscribe, lane *Lane) replication.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[m.Broker] = lane
	p.rig.opened.Done()
	return p.core.Subscribe(m, time.Time{})
}

func (p *benchLeading) Ack(from model.BrokerID, m replication.Ack) {
	p.mu.Lock()
	p.core.Ack(from, m, time.Time{})
	moved := p.core.Take().Moved
	by := p.core.HighWatermark() - p.marked
	p.marked += by
	p.mu.Unlock()
	if moved {
		p.wake()
		p.rig.commit(int64(by))
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
		if out.Batches, ok = p.core.Send(to, from, from+1, p.rig.batch.Bytes()); ok {
			p.rig.batch.Retain()
			out.Kind, out.Owner = HotBatches, p.rig.batch
		}
		return
	}
	if m, ok := p.core.Watermark(to); ok {
		out.Kind, out.Watermark = NewWatermark, m
	}
}

func (p *benchLeading) Read(model.Offset, int) (Batches, error) { return Batches{}, nil }

func (p *benchLeading) Send(model.BrokerID, model.Offset, Batches, int) (replication.Batches, bool) {
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

// benchRig is one leader broker, node 1, and its followers, over TCP on loopback, all in this process.
type benchRig struct {
	leads  []*benchLeading
	batch  *mem.Buf
	opened sync.WaitGroup

	committed atomic.Int64
	moved     chan struct{}
	stop      context.CancelFunc
	done      sync.WaitGroup
}

func (r *benchRig) Leading(_ model.TopicID, partition int32) Leading { return r.leads[partition] }

func (r *benchRig) commit(n int64) {
	r.committed.Add(n)
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// dialFunc makes connections to the leader.
type dialFunc func(context.Context, string) (net.Conn, error)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func newBenchRig(b *testing.B, partitions, size int, secure bool, followers ...model.BrokerID) *benchRig {
	r := &benchRig{batch: mem.Get(size), moved: make(chan struct{}, 1)}
	dial, auth := dialFunc(dialTCP), linkConfig(1).Auth
	if secure {
		dial, auth = overTLS(b)
	}
	config := func(id model.BrokerID) link.Config {
		c := linkConfig(id)
		c.Auth = auth
		return c
	}
	isr := append([]model.BrokerID{1}, followers...)
	for range partitions {
		p := &benchLeading{rig: r, lanes: make(map[model.BrokerID]*Lane)}
		p.core = replication.NewLeader(replication.LeaderOptions{
			Broker: 1, BrokerEpoch: epochOf(1), State: replication.State{Leader: 1, LeaderEpoch: 5, PartitionEpoch: 1, Replicas: isr, ISR: isr},
			History: oneEpoch(5), Config: replication.Config{MinISR: 2, LagTime: time.Hour, Retry: time.Second},
			Live: func(b model.BrokerID) (model.BrokerEpoch, bool) { return epochOf(b), true },
		})
		r.leads = append(r.leads, p)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	senders := NewSenders(r, NewColdReads(1))
	server := &link.Server{Config: func() link.Config { return config(1) }, Open: senders.Open}
	r.done.Go(func() { _ = server.Serve(ctx, listener) })
	r.opened.Add(partitions * len(followers))
	for _, id := range followers {
		r.follow(ctx, config(id), partitions, link.DialerOptions{Node: 1, Address: listener.Addr().String(), Dial: dial})
	}
	r.opened.Wait()
	return r
}

// follow starts a follower broker.
func (r *benchRig) follow(ctx context.Context, cfg link.Config, partitions int, o link.DialerOptions) {
	receiver := NewReceiver()
	o.Config, o.Role, o.Owner = cfg, link.Replication, receiver
	r.done.Go(func() { link.NewDialer(o).Run(ctx) })
	for i := range partitions {
		f := &benchFollowing{core: replication.NewFollower(replication.FollowerOptions{
			TopicID: model.TopicID{1}, Partition: int32(i), Broker: cfg.Node, BrokerEpoch: epochOf(cfg.Node), History: noHistory{},
			Window: 4 << 20, Retry: time.Second, Patience: time.Hour,
			Number: func() replication.Subscription { return replication.Subscription(i + 1) },
		})}
		f.route = receiver.Follow(f)
		f.core.Follow(1, 5, f.own, time.Time{})
		f.route.Subscribe(*f.core.Take().Subscribe)
	}
}

// overTLS makes connections TLS ones, with certificates of one authority.
func overTLS(b *testing.B) (dialFunc, link.Auth) {
	ca := certstest.NewAuthority("bench")
	own, err := tls.X509KeyPair(ca.Issue(certstest.Request{Names: []string{"leader"}}))
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM)
	cfg := &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: "leader", MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dialTCP(ctx, address)
		if err != nil {
			return nil, err
		}
		return link.Client(conn, cfg, nil), nil
	}
	return dial, link.Auth{TLS: func() *tls.Config { return cfg }, Identify: func(tls.ConnectionState, link.Peer) error { return nil }}
}

// run has b.N batches replicated, round the partitions, with so many under way.
func (r *benchRig) run(b *testing.B, underWay int64) {
	b.ReportAllocs()
	b.SetBytes(int64(len(r.batch.Bytes())))
	before := cpuTime()
	b.ResetTimer()
	for i := range b.N {
		for int64(i)-r.committed.Load() >= underWay {
			<-r.moved
		}
		r.leads[i%len(r.leads)].produce()
	}
	for r.committed.Load() < int64(b.N) {
		<-r.moved
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
	r.stop()
	r.done.Wait()
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReplication: batches go to two followers, their acknowledgements come back, and the watermark moves and goes out. CPU is that of all three brokers.
func BenchmarkReplication(b *testing.B) {
	for _, partitions := range []int{1, 1000} {
		for _, c := range []struct {
			size     int
			underWay int64
		}{{256, 4000}, {1 << 20, 16}} {
			for _, secure := range []bool{false, true} {
				name := fmt.Sprintf("partitions=%d/bytes=%d/tls=%v", partitions, c.size, secure)
				b.Run(name, func(b *testing.B) { newBenchRig(b, partitions, c.size, secure, 2, 3).run(b, c.underWay) })
			}
		}
	}
}

// BenchmarkBatch: one batch of 256 bytes goes to one follower, 256 batches are under way.
func BenchmarkBatch(b *testing.B) { newBenchRig(b, 1, 256, false, 2).run(b, 256) }
