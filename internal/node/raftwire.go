package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// The frames of a raft link. The first one says of which directory the dialer is: a node with another one is another replica (M1).
const (
	frameDirectory = link.FirstType + iota
	frameMessage
)

// maxSnapshot is the largest snapshot that fits into one frame.
const maxSnapshot = 31 << 20

// redialVoter is the longest time between two attempts to reach another replica: below an election timeout.
const redialVoter = 250 * time.Millisecond

var _ quorum.Transport = (*raftWire)(nil)

// raftWire carries Raft's messages: what this replica sends over a link that it dials, what it receives over links that others dialled.
// Messages that cannot leave at once are lost, which Raft is made for.
type raftWire struct {
	self    quorum.Replica
	config  link.Config
	dial    func(context.Context, string) (net.Conn, error)
	address func(model.BrokerID) (string, bool)
	receive func(from quorum.Replica, m *pb.Message)
	log     *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	out    map[model.BrokerID]*wireOut
	closed bool
}

func (w *raftWire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.stop()
	w.running.Wait()
}

// wireOut is the link to one other replica.
type wireOut struct {
	wire *raftWire
	mu   sync.Mutex
	link *link.Link
}

func (w *raftWire) to(id model.BrokerID) *wireOut {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.out[id]
	if o != nil || w.closed {
		return o
	}
	o = &wireOut{wire: w}
	w.out[id] = o
	d := link.NewDialer(link.DialerOptions{
		Config: w.config, Role: link.Raft, Node: id, Owner: o, Most: redialVoter, Seed: uint64(w.self.Node),
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			address, ok := w.address(id)
			if !ok {
				return nil, fmt.Errorf("the address of node %d is not known", id)
			}
			return w.dial(ctx, address)
		},
	})
	w.running.Go(func() { d.Run(w.ctx) })
	return o
}

// Send implements quorum.Transport.
func (w *raftWire) Send(to quorum.Replica, m *pb.Message) {
	data, err := proto.Marshal(m)
	if err == nil {
		err = w.to(to.Node).send(data)
	}
	if err != nil {
		w.log.Debug("a message to another voter was lost", "node", int32(to.Node), "error", err)
	}
}

// SendSnapshot implements quorum.Transport.
func (w *raftWire) SendSnapshot(to quorum.Replica, m *pb.Message, snapshot io.Reader, size int64, done func(error)) {
	if size > maxSnapshot {
		done(fmt.Errorf("the snapshot has %d bytes, the most is %d", size, maxSnapshot))
		return
	}
	image, err := io.ReadAll(snapshot)
	if err == nil {
		m.Snapshot.Data = image
		var data []byte
		if data, err = proto.Marshal(m); err == nil {
			err = w.to(to.Node).send(data)
		}
	}
	done(err)
}

var errNoLink = errors.New("there is no link")

func (o *wireOut) send(data []byte) error {
	if o == nil {
		return errNoLink
	}
	o.mu.Lock()
	l := o.link
	o.mu.Unlock()
	if l == nil {
		return errNoLink
	}
	return l.TrySend(frameMessage, data, nil, nil)
}

// Up implements link.Owner.
func (o *wireOut) Up(l *link.Link, _ uint64) link.Session {
	dir := o.wire.self.Directory
	if err := l.TrySend(frameDirectory, dir[:], nil, nil); err != nil {
		l.Close(err)
		return noSession{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link = l
	return noSession{}
}

// Down implements link.Owner.
func (o *wireOut) Down(uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link = nil
}

// Failed implements link.Owner.
func (o *wireOut) Failed(error, time.Duration) {}

// Open returns what uses a link that another replica dialled.
func (w *raftWire) Open(l *link.Link) link.Session { return &wireIn{wire: w, node: l.Peer().Node} }

// wireIn hears another replica.
type wireIn struct {
	noSession
	wire *raftWire
	node model.BrokerID
	from quorum.Replica
}

// Frame implements link.Session.
func (in *wireIn) Frame(kind byte, body []byte, _ *mem.Buf) error {
	switch {
	case kind == frameDirectory && len(body) == len(in.from.Directory):
		in.from.Node = in.node
		copy(in.from.Directory[:], body)
		return nil
	case kind == frameMessage && in.from.Node == in.node && in.from.Directory != [16]byte{}:
		m := new(pb.Message)
		if err := proto.Unmarshal(body, m); err != nil {
			return fmt.Errorf("%w: %w", link.ErrDamaged, err)
		}
		in.wire.receive(in.from, m)
		return nil
	}
	return fmt.Errorf("%w: type %d has no place here on a raft link", link.ErrDamaged, kind)
}
