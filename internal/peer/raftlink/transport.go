package raftlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/model"
	"chronik/internal/quorum"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Receiver is the replica that messages are for. quorum.Raft implements it.
type Receiver interface {
	// Receive takes a message. It does not block.
	Receive(from quorum.Replica, m *pb.Message)
	// ReceiveSnapshot takes a message that came with a snapshot, and reads the snapshot to its end.
	ReceiveSnapshot(ctx context.Context, from quorum.Replica, m *pb.Message, snapshot io.Reader) error
	// Unreachable hears that messages to a replica were lost, one or many. It may block: a goroutine of its own waits for it.
	Unreachable(quorum.Replica)
}

// Options says which replica it is, and how others are reached.
type Options struct {
	Self   quorum.Replica
	Config link.Config
	Reach  string // where this broker listens for others, host:port, to be told to replicas that do not know it yet
	Dial   func(ctx context.Context, address string) (net.Conn, error)
	// Addresses are where a replica may listen for brokers, the likeliest first; they may change.
	Addresses func(quorum.Replica) []string
	// Heard is told where a replica that has dialled listens, in its own words. Its links are closed that are to no address of it any more.
	Heard func(who quorum.Replica, address string)
	Log   *slog.Logger // nil: slog.Default
	Seed  uint64       // of the chance in the waits between attempts to make a link
}

const (
	// maxRemotes bounds the replicas that are sent to, and idleTime how long one is kept that is not reached and nothing is sent to.
	maxRemotes = 512
	idleTime   = time.Minute
	// redialMost is the longest time between two attempts to reach a replica. An election waits for no longer.
	redialMost = 250 * time.Millisecond
)

// Transport carries messages to other replicas, and those of others to this one. It implements quorum.Transport.
type Transport struct {
	opts    Options
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	bell    chan struct{} // of capacity 1: somebody is in unheard

	mu       sync.Mutex
	closed   bool
	receiver Receiver
	remotes  map[quorum.Replica]*remote
	links    map[*receiving]struct{} // accepted
	sending  map[quorum.Replica]bool // a snapshot
	unheard  map[quorum.Replica]bool // to be reported as unreachable
	getting  int                     // snapshots
}

// New makes a Transport. Nothing is delivered before Bind.
func New(o Options) *Transport {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	t := &Transport{
		opts: o, ctx: ctx, cancel: func() { cancel(link.ErrClosed) }, bell: make(chan struct{}, 1),
		remotes: make(map[quorum.Replica]*remote), links: make(map[*receiving]struct{}), sending: make(map[quorum.Replica]bool),
		unheard: make(map[quorum.Replica]bool),
	}
	t.running.Go(t.report)
	return t
}

// Bind says who gets what arrives, and hears of what is lost. Messages that come before it are lost.
func (t *Transport) Bind(r Receiver) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.receiver = r
}

// Close ends all links, in both directions, and returns when nothing of the Transport runs any more.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	for r := range t.links {
		r.link.Close(nil)
	}
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
}

// Send implements quorum.Transport.
func (t *Transport) Send(to quorum.Replica, m *pb.Message) {
	t.mu.Lock()
	r := t.remotes[to]
	t.mu.Unlock()
	if r == nil {
		if r = t.remote(to); r == nil {
			t.lost(to)
			return
		}
	}
	r.send(m)
}

// remote makes what sends to a replica; nil if it must not or cannot.
func (t *Transport) remote(to quorum.Replica) *remote {
	addresses := t.opts.Addresses(to)
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.remotes[to]; r != nil || len(addresses) == 0 || t.closed || to == t.opts.Self || len(t.remotes) >= maxRemotes {
		return r
	}
	r := &remote{transport: t, replica: to, used: time.Now()}
	r.dialer = link.NewDialer(link.DialerOptions{
		Config: t.opts.Config, Role: link.Raft, Node: to.Node, Address: addresses[0], Dial: t.opts.Dial, Owner: r, Most: redialMost, Seed: t.opts.Seed,
	})
	r.dialer.Retarget(addresses...)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.ctx)
	t.remotes[to] = r
	t.running.Go(func() { r.dialer.Run(ctx) })
	return r
}

// alive notes that a replica has dialled, perhaps from another address than before. The link back need not wait.
func (t *Transport) alive(from quorum.Replica) {
	t.mu.Lock()
	r := t.remotes[from]
	t.mu.Unlock()
	if r == nil {
		return
	}
	r.dialer.Retarget(t.opts.Addresses(from)...)
	r.mu.Lock()
	down := r.link == nil
	r.mu.Unlock()
	if down {
		r.dialer.Kick()
	}
}

// giveUp forgets a remote that cannot be reached and that nothing has been sent to for long: it has left, or its directory was replaced.
func (t *Transport) giveUp(r *remote) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.remotes[r.replica] == r {
		delete(t.remotes, r.replica)
		r.stop()
	}
}

// lost notes that messages to a replica were lost. Send may be what calls it, and the quorum's goroutine what calls Send; so others tell it.
func (t *Transport) lost(to quorum.Replica) {
	t.mu.Lock()
	t.unheard[to] = true
	t.mu.Unlock()
	select {
	case t.bell <- struct{}{}:
	default:
	}
}

// report tells the quorum what was lost.
func (t *Transport) report() {
	for {
		select {
		case <-t.bell:
		case <-t.ctx.Done():
			return
		}
		t.mu.Lock()
		unheard, receiver := t.unheard, t.receiver
		t.unheard = make(map[quorum.Replica]bool)
		t.mu.Unlock()
		for r := range unheard {
			if receiver != nil {
				receiver.Unreachable(r)
			}
		}
	}
}

// admit takes the hello of a replica that dialled.
func (t *Transport) admit(node model.BrokerID, h hello) (quorum.Replica, Receiver, error) {
	from := quorum.Replica{Node: node, Directory: h.from}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case h.to != t.opts.Self.Directory:
		return from, nil, fmt.Errorf("this is %v, and the link is for directory %v of it: its disk was replaced", t.opts.Self, h.to)
	case t.receiver == nil || t.closed:
		return from, nil, errors.New("the metadata quorum is not open here yet, or no more")
	}
	return from, t.receiver, nil
}

// misplaced is a frame that has no place where it came.
func misplaced(kind byte) error {
	return fmt.Errorf("%w: type %d has no place here on a raft link", link.ErrDamaged, kind)
}

var _ quorum.Transport = (*Transport)(nil)
