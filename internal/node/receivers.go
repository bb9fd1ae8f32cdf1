package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/replication/stream"
)

// redialLeader is the longest time between two attempts to reach a leader.
const redialLeader = 250 * time.Millisecond

var _ replica.Leaders = (*receivers)(nil)

// receivers are the links to the brokers that lead what this one follows: one for each, made when it is first needed.
type receivers struct {
	config  link.Config
	dial    func(ctx context.Context, leader model.BrokerID) (net.Conn, error)
	log     *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	byNode map[model.BrokerID]*following
	closed bool
}

// following is a leader with the link to it.
type following struct {
	receiver *stream.Receiver
	dialer   *link.Dialer
	stop     context.CancelFunc
}

func newReceivers(cfg link.Config, dial func(context.Context, model.BrokerID) (net.Conn, error), log *slog.Logger) *receivers {
	r := &receivers{config: cfg, dial: dial, log: log, byNode: make(map[model.BrokerID]*following)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Receiver implements replica.Leaders.
func (r *receivers) Receiver(leader model.BrokerID) *stream.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.byNode[leader]; f != nil {
		return f.receiver
	}
	f := &following{receiver: stream.NewReceiver()}
	f.receiver.Observe = r.observe(leader)
	f.dialer = link.NewDialer(link.DialerOptions{
		Config: r.config, Role: link.Replication, Node: leader, Owner: f.receiver, Most: redialLeader, Seed: uint64(r.config.Node),
		Dial: func(ctx context.Context, _ string) (net.Conn, error) { return r.dial(ctx, leader) },
	})
	ctx, stop := context.WithCancel(r.ctx)
	f.stop = stop
	r.byNode[leader] = f
	if !r.closed {
		r.running.Go(func() { f.dialer.Run(ctx) })
	}
	return f.receiver
}

// observe logs when a link comes and goes, and the first of several attempts that fail.
func (r *receivers) observe(leader model.BrokerID) func(error) {
	var mu sync.Mutex
	down := false
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			r.log.Info("following a leader", "node", int32(leader))
		case !down && r.ctx.Err() == nil && !errors.Is(err, context.Canceled):
			r.log.Warn("the link to a leader is down; it is made again", "node", int32(leader), "error", err)
		}
		down = err != nil
	}
}

// kick has a leader dialled at once: there is reason to believe that it is back.
func (r *receivers) kick(leader model.BrokerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.byNode[leader]; f != nil {
		f.dialer.Kick()
	}
}

// forget ends the link to a broker that has left the cluster. Nothing follows it any more.
func (r *receivers) forget(leader model.BrokerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.byNode[leader]; f != nil {
		f.stop()
		delete(r.byNode, leader)
	}
}

// close ends all links.
func (r *receivers) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}
