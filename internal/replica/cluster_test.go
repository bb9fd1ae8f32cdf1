package replica

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/link"
	"chronik/internal/memnet"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/replication/stream"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// group is three brokers that hold one partition: real sets and logs over disks that lose power, joined by real links over a network in
// memory, in virtual time. Their controller is a value that is compared and set.
type group struct {
	t       *testing.T
	net     *memnet.Network
	log     *syncBuffer
	minISR  int32
	brokers map[model.BrokerID]*broker

	mu     sync.Mutex
	state  image.Partition
	epochs map[model.BrokerID]model.BrokerEpoch
	fenced map[model.BrokerID]bool
	next   model.BrokerEpoch
	mute   bool // requests get no answer
}

// broker is one of them.
type broker struct {
	g    *group
	id   model.BrokerID
	disk *crashfs.FS
	*process
}

// process is what a broker loses with its power.
type process struct {
	*Set
	files  *faultfs.FS
	commit *wal.Committer
	more   *wal.Committer // of the second data directory
	dead   atomic.Bool
	stop   context.CancelFunc
	done   sync.WaitGroup

	applying sync.Mutex
	applied  int32
	mu       sync.Mutex
	leaders  map[model.BrokerID]*stream.Receiver
	ctx      context.Context
}

// inGroup runs a test with three brokers, all in sync, led by 1 in epoch 1.
func inGroup(t *testing.T, minISR int32, test func(t *testing.T, g *group)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &group{t: t, net: memnet.New(), log: new(syncBuffer), minISR: minISR, brokers: make(map[model.BrokerID]*broker),
			epochs: make(map[model.BrokerID]model.BrokerEpoch), fenced: make(map[model.BrokerID]bool), next: 100,
			state: image.Partition{Replicas: []model.BrokerID{1, 2, 3}, ISR: []model.BrokerID{1, 2, 3}, Leader: model.NoBroker, LastKnownLeader: model.NoBroker}}
		for id := model.BrokerID(1); id <= 3; id++ {
			g.brokers[id] = &broker{g: g, id: id, disk: crashfs.New(uint64(id))}
		}
		for _, b := range g.all() {
			b.start()
		}
		g.elect(1)
		defer func() {
			for _, b := range g.all() {
				if b.process != nil {
					b.end()
				}
			}
			if t.Failed() {
				t.Log(g.log.String())
			}
		}()
		test(t, g)
	})
}

func (g *group) all() []*broker { return []*broker{g.brokers[1], g.brokers[2], g.brokers[3]} }

// change changes the state and lets all brokers know, in order.
func (g *group) change(f func(p *image.Partition)) image.Partition {
	g.mu.Lock()
	f(&g.state)
	g.state.PartitionEpoch++
	p := g.state
	g.mu.Unlock()
	g.tell()
	return p
}

func (g *group) tell() {
	for _, b := range g.all() {
		if p := b.process; p != nil {
			go b.apply(p)
		}
	}
}

// elect makes a broker the leader of a new epoch.
func (g *group) elect(id model.BrokerID) {
	g.change(func(p *image.Partition) { p.Leader, p.LeaderEpoch = id, p.LeaderEpoch+1 })
}

// live is what the metadata know of the brokers.
func (g *group) live() func(model.BrokerID) (model.BrokerEpoch, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	epochs, fenced := make(map[model.BrokerID]model.BrokerEpoch), make(map[model.BrokerID]bool)
	for id, e := range g.epochs {
		epochs[id], fenced[id] = e, g.fenced[id]
	}
	return func(id model.BrokerID) (model.BrokerEpoch, bool) {
		e, ok := epochs[id]
		return e, ok && !fenced[id]
	}
}

func (b *broker) address() string { return fmt.Sprintf("b%d:9291", b.id) }
func (b *broker) host() string    { return fmt.Sprintf("b%d", b.id) }

// start begins a process over the broker's disk, and registers it.
func (b *broker) start() {
	g, t := b.g, b.g.t
	ctx, stop := context.WithCancel(context.Background())
	p := &process{files: faultfs.New(b.disk), stop: stop, ctx: ctx, leaders: make(map[model.BrokerID]*stream.Receiver)}
	p.commit, p.more = wal.NewCommitter(wal.CommitterOptions{FS: p.files}), wal.NewCommitter(wal.CommitterOptions{FS: p.files})
	var err error
	p.Set, err = NewSet(Env{FS: p.files, Disks: []Disk{{Dir: "/data", Committer: p.commit}, {Dir: "/more", Committer: p.more}}, Now: time.Now, Node: b.id,
		Log: slog.New(slog.NewTextHandler(g.log, nil)).With("broker", b.id), Controller: controllerOf{g, b, p}, Leaders: linksOf{b, p}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := g.net.Listen(b.address())
	if err != nil {
		t.Fatal(err)
	}
	senders := stream.NewSenders(p.Set, stream.NewColdReads(2))
	server := &link.Server{Config: func() link.Config { return b.config(p) }, Open: senders.Open}
	p.done.Go(func() { _ = server.Serve(ctx, listener) })
	g.mu.Lock()
	g.next++
	g.epochs[b.id], g.fenced[b.id] = g.next, false
	g.mu.Unlock()
	b.process = p
	g.change(func(s *image.Partition) {
		if s.Leader == b.id { // R1
			s.LeaderEpoch++
		}
	})
	synctest.Wait()
}

func (b *broker) config(p *process) link.Config {
	return link.Config{ClusterID: "c", Node: b.id, Auth: link.Auth{Secret: []byte("a secret of the test group")}, Epoch: func() model.BrokerEpoch {
		if g := p.grant.Load(); g != nil {
			return g.epoch
		}
		return model.NoBrokerEpoch
	}}
}

// apply brings a process to the newest state.
func (b *broker) apply(p *process) {
	p.applying.Lock()
	defer p.applying.Unlock()
	live := b.g.live()
	b.g.mu.Lock()
	s, epoch := b.g.state, b.g.epochs[b.id]
	b.g.mu.Unlock()
	if p.dead.Load() || s.PartitionEpoch < p.applied {
		return
	}
	p.applied = s.PartitionEpoch
	p.Registered(epoch, live)
	p.Ensure(Assignment{Partition: t0, TopicID: model.TopicID{1}, State: &s, Settings: &Settings{Log: wal.DefaultConfig(), Policy: policy(), MinISR: b.g.minISR}})
	p.Followed()
}

// end stops the process as it is.
func (b *broker) end() {
	p := b.process
	b.process = nil
	p.dead.Store(true)
	p.stop()
	p.applying.Lock()
	p.applying.Unlock() //nolint:staticcheck // whoever applies has ended
	_ = p.Close()
	p.done.Wait()
	p.commit.Close()
	p.more.Close()
}

// crash takes the power from a broker: nothing of it is heard from the moment on that decides what its disk has.
func (b *broker) crash(mode crashfs.Mode) {
	b.dead.Store(true)
	b.isolate(true)
	after := b.disk.CrashClone(mode)
	b.end()
	b.disk = after
	b.isolate(false)
}

// isolate cuts a broker off from the others, or joins it to them.
func (b *broker) isolate(cut bool) {
	for _, o := range b.g.all() {
		if o != b && cut {
			b.g.net.Partition(b.host(), o.host())
		} else if o != b {
			b.g.net.Heal(b.host(), o.host())
		}
	}
}

// linksOf are a broker's links to the leaders.
type linksOf struct {
	b *broker
	p *process
}

// Receiver implements Leaders.
func (l linksOf) Receiver(leader model.BrokerID) *stream.Receiver {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	r := l.p.leaders[leader]
	if r == nil {
		r = stream.NewReceiver()
		l.p.leaders[leader] = r
		dial := l.b.g.net.Dialer(l.b.host())
		d := link.NewDialer(link.DialerOptions{Config: l.b.config(l.p), Role: link.Replication, Node: leader, Address: l.b.g.brokers[leader].address(),
			Dial: func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }, Owner: r})
		l.p.done.Go(func() { d.Run(l.p.ctx) })
	}
	return r
}

// controllerOf is the controller as one broker reaches it.
type controllerOf struct {
	g *group
	b *broker
	p *process
}

// AlterISR implements Controller.
func (c controllerOf) AlterISR(_ model.TopicPartition, _ model.TopicID, p replication.Proposal, answer func(replication.Outcome, replication.State)) {
	go func() {
		o, s := c.g.alter(c.b.id, c.p, p)
		if !c.p.dead.Load() {
			answer(o, s)
		}
	}()
}

func (g *group) alter(from model.BrokerID, process *process, p replication.Proposal) (replication.Outcome, replication.State) {
	live := g.live()
	g.mu.Lock()
	s := &g.state
	ok := s.Leader == from && s.LeaderEpoch == p.LeaderEpoch && s.PartitionEpoch == p.PartitionEpoch && !process.dead.Load()
	isr := make([]model.BrokerID, 0, 3)
	for _, m := range p.ISR {
		epoch, up := live(m.Broker)
		ok = ok && up && epoch == m.Epoch
		isr = append(isr, m.Broker)
	}
	if g.mute || process.dead.Load() {
		g.mu.Unlock()
		return replication.Unanswered, replication.State{}
	}
	g.mu.Unlock()
	if !ok {
		return replication.Declined, replication.State{}
	}
	out := g.change(func(s *image.Partition) { s.ISR = isr })
	a := Assignment{State: &out}
	return replication.Committed, a.state()
}

// Resign implements Controller: the next member of the ISR leads.
func (c controllerOf) Resign(_ model.TopicPartition, _ model.TopicID, epoch model.LeaderEpoch, _ replication.Resignation) {
	go func() {
		live := c.g.live()
		c.g.mu.Lock()
		s := c.g.state
		c.g.mu.Unlock()
		if s.Leader != c.b.id || s.LeaderEpoch != epoch || c.p.dead.Load() {
			return
		}
		for _, id := range s.ISR {
			if _, up := live(id); up && id != c.b.id {
				c.g.elect(id)
				return
			}
		}
	}()
}

// fence takes a broker out of service: out of leadership, and out of the ISR.
func (g *group) fence(id model.BrokerID) {
	g.mu.Lock()
	g.fenced[id] = true
	g.mu.Unlock()
	g.change(func(p *image.Partition) {
		if len(p.ISR) > 1 {
			p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(m model.BrokerID) bool { return m == id })
		}
		if p.Leader == id {
			p.Leader, p.LeaderEpoch = p.ISR[0], p.LeaderEpoch+1
		}
	})
}
