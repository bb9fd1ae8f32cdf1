package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"chronik/internal/link"
	"chronik/internal/memnet"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

const secret = "sixteen bytes at least"

// world is a few brokers on a network in memory.
type world struct {
	t       *testing.T
	net     *network
	brokers map[model.BrokerID]*broker

	mu     sync.Mutex
	leader model.BrokerID // as all of them know it
}

// network is one in memory that can also swallow everything.
type network struct {
	*memnet.Network
	vanishing
}

// broker is one of them: what it answers with, and its own client.
type broker struct {
	w      *world
	id     model.BrokerID
	server *Server
	pool   *Pool
	client *Client
	stop   func()

	mu       sync.Mutex
	handlers fake
	calls    []string
}

func newWorld(t *testing.T, n int) *world {
	w := &world{t: t, net: &network{Network: memnet.New()}, brokers: make(map[model.BrokerID]*broker), leader: model.NoBroker}
	for i := range n {
		w.start(model.BrokerID(i+1), config(model.BrokerID(i+1)))
	}
	t.Cleanup(func() {
		for _, b := range w.brokers {
			b.close()
		}
	})
	return w
}

func config(id model.BrokerID) link.Config {
	return link.Config{ClusterID: "cluster", Node: id, Auth: link.Auth{Secret: []byte(secret)}}
}

func host(id model.BrokerID) string    { return fmt.Sprintf("n%d", id) }
func address(id model.BrokerID) string { return host(id) + ":9291" }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start brings a broker up.
func (w *world) start(id model.BrokerID, cfg link.Config) *broker {
	b := &broker{w: w, id: id}
	b.server = NewServer(Handlers{Controller: b, Forwarder: b, Informant: b, Transactor: b}, quiet())
	listener, err := w.net.Listen(address(id))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	links := &link.Server{Config: func() link.Config { return cfg }, Open: b.server.Open}
	served := make(chan error, 1)
	go func() { served <- links.Serve(ctx, listener) }()
	b.pool = NewPool(PoolOptions{Config: cfg, Dial: w.dial(id), Seed: uint64(id), Addresses: func(to model.BrokerID) []string { return []string{address(to)} }})
	b.client = NewClient(ClientOptions{Self: id, ClusterID: "cluster", Local: b.server, Pool: b.pool, Candidates: w.voters,
		Rand: rand.New(rand.NewPCG(uint64(id), 7)), Log: quiet()})
	b.stop = sync.OnceFunc(func() {
		b.pool.Close()
		cancel()
		if err := <-served; err != nil {
			w.t.Error(err)
		}
		b.server.Close()
	})
	w.brokers[id] = b
	return b
}

func (w *world) dial(from model.BrokerID) func(context.Context, string) (net.Conn, error) {
	return w.net.dial(host(from), func(ctx context.Context, to string) (net.Conn, error) { return w.net.Dial(ctx, host(from), to) })
}

func (w *world) voters() []model.BrokerID { return []model.BrokerID{3, 1, 2} }

func (w *world) lead(id model.BrokerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader = id
}

func (w *world) leads() model.BrokerID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leader
}

// apart separates a broker from all others.
func (w *world) apart(id model.BrokerID) {
	for other := range w.brokers {
		if other != id {
			w.net.Partition(host(id), host(other))
		}
	}
}

func (b *broker) close() { b.stop() }

// fake is what a broker does when it is the active controller; nil: a plain answer.
type fake struct {
	register  func(context.Context, Caller, controller.Registration) (model.BrokerEpoch, error)
	heartbeat func(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error)
	alter     func(context.Context, Caller, model.BrokerEpoch, []controller.ISRChange) ([]controller.AlteredPartition, error)
	resign    func(context.Context, Caller, model.BrokerEpoch, []controller.Resignation) ([]error, error)
	forward   func(context.Context, Caller, ClientRequest) ([]byte, error)
	possess   Possession
}

func (b *broker) set(f fake) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers = f
}

// note writes a call down, and refuses it if this is not the active controller.
func (b *broker) note(from Caller, what string) (fake, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf("%s from %d", what, from.Node))
	if leader := b.w.leads(); leader != b.id {
		return fake{}, &quorum.NotControllerError{Leader: leader, Term: 5}
	}
	return b.handlers, nil
}

func (b *broker) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.calls...)
}

func (b *broker) Register(ctx context.Context, from Caller, r controller.Registration) (model.BrokerEpoch, error) {
	f, err := b.note(from, "register")
	if err != nil || f.register == nil {
		return 17, err
	}
	return f.register(ctx, from, r)
}

func (b *broker) Heartbeat(ctx context.Context, from Caller, h controller.Heartbeat) (controller.HeartbeatReply, error) {
	f, err := b.note(from, "heartbeat")
	if err != nil || f.heartbeat == nil {
		return controller.HeartbeatReply{CaughtUp: true}, err
	}
	return f.heartbeat(ctx, from, h)
}

func (b *broker) AlterPartitions(ctx context.Context, from Caller, epoch model.BrokerEpoch, cs []controller.ISRChange) ([]controller.AlteredPartition, error) {
	f, err := b.note(from, "alter")
	if err != nil || f.alter == nil {
		return make([]controller.AlteredPartition, len(cs)), err
	}
	return f.alter(ctx, from, epoch, cs)
}

func (b *broker) Resign(ctx context.Context, from Caller, epoch model.BrokerEpoch, rs []controller.Resignation) ([]error, error) {
	f, err := b.note(from, "resign")
	if err != nil || f.resign == nil {
		return make([]error, len(rs)), err
	}
	return f.resign(ctx, from, epoch, rs)
}

func (b *broker) AllocateProducerIDs(_ context.Context, from Caller, _ model.BrokerEpoch) (controller.ProducerIDBlock, error) {
	_, err := b.note(from, "producer IDs")
	return controller.ProducerIDBlock{First: 1000, Count: 1000}, err
}

func (b *broker) Join(_ context.Context, from Caller, _ JoinRequest) error {
	_, err := b.note(from, "join")
	return err
}

func (b *broker) Forward(ctx context.Context, from Caller, q ClientRequest) ([]byte, error) {
	f, err := b.note(from, "forward")
	if err != nil || f.forward == nil {
		return append([]byte("re: "), q.Body...), err
	}
	return f.forward(ctx, from, q)
}

func (b *broker) Transact(_ context.Context, from Caller, q ClientRequest) ([]byte, error) {
	return fmt.Appendf(nil, "%d to %d: %s", from.Node, b.id, q.Body), nil
}

func (b *broker) Possession() Possession {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handlers.possess
}

func (b *broker) ActiveController() ControllerInfo {
	leader := b.w.leads()
	return ControllerInfo{Leader: leader, Term: 5, Active: leader == b.id, Address: address(leader)}
}

// within is a context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
