package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"chronik/internal/admin"
	"chronik/internal/broker/api"
	"chronik/internal/broker/server"
	"chronik/internal/broker/sharing"
	"chronik/internal/config"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/markers"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/coordinator/txn"
	"chronik/internal/mem"
	"chronik/internal/quorum"
	"chronik/internal/replica"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// ListenerName is the one listener of a standalone broker.
const ListenerName = "PLAINTEXT"

// Env is the world that a node runs in. Tests replace all of it.
type Env struct {
	FS     vfs.FS
	Listen func(network, address string) (net.Listener, error)
	Now    func() time.Time

	// Of a node of a cluster.
	Dial     func(ctx context.Context, address string) (net.Conn, error) // other nodes
	ReadFile func(name string) ([]byte, error)                           // the secret

	Log *slog.Logger

	// What else tests turn; zero is the default.
	Tick          time.Duration // how often the logs' marks and idle files are seen to
	SnapshotEvery uint64        // metadata entries between two snapshots
}

// Node is a running broker.
type Node struct {
	settings *config.Server
	env      Env

	locks       []io.Closer
	identity    quorum.Identity
	disks       []replica.Disk  // of the partitions
	known       map[string]bool // IDs of the data directories beside the first
	diskGone    bool            // there was one more
	meta        *wal.Committer  // of the metadata log: its own I/O lane (R8)
	quorum      metadataLog
	local       *quorum.Local // the same, of a node alone; else nil
	cluster     *cluster      // nil: the node is alone
	follower    *follower
	replicas    *replica.Set
	groups      *runtime.Coordinator[*group.Machine]
	txns        *runtime.Coordinator[*txn.Machine]
	shares      *runtime.Coordinator[*share.Machine]
	markers     *markers.Sender
	broker      *api.Broker
	shareStates *sharestate.Client
	sharing     *sharing.Shares
	opened      chan struct{} // closed when broker is set
	server      *server.Server
	kafka       net.Listener
	http        *admin.Server

	stop       context.CancelFunc // ends the background work
	background context.Context
	running    sync.WaitGroup
	asking     sync.WaitGroup // for producer IDs, and that share partitions begin
	failed     chan struct{}  // closed at the first failure that the node cannot live with
	once       sync.Once
	err        error // written before failed is closed
}

// metadataLog is the metadata log, alone or of a quorum.
type metadataLog interface {
	quorum.Log
	Close() error
}

// New starts a node. When it returns without an error the node serves; Stop must follow. Until then the end of ctx ends the start: a node of a cluster
// may have to wait for others.
func New(ctx context.Context, settings *config.Server, env Env) (*Node, error) {
	n := &Node{settings: settings, env: env, known: make(map[string]bool), failed: make(chan struct{}), opened: make(chan struct{})}
	background, stop := context.WithCancel(context.Background())
	n.stop, n.background = stop, background
	defer context.AfterFunc(ctx, stop)()
	steps := n.alone()
	if settings.Clustered() {
		n.cluster = newCluster(n)
		steps = n.cluster.steps()
	}
	for _, step := range steps {
		if err := step.do(background); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.what, err), n.tearDown(context.Background()))
		}
	}
	return n, nil
}

// step is a part of the start.
type step struct {
	what string
	do   func(context.Context) error
}

func (n *Node) alone() []step {
	return []step{
		{"data directory", n.openDirectory},
		{"data directory", n.identify},
		{"disk", n.openLane},
		{"disk", n.openDisk},
		{"metadata log", n.openMetadata},
		{"listener", n.listen},
		{"registration", n.register},
		{"partitions", n.openPartitions},
		{"broker", n.serve},
		{"HTTP", n.serveHTTP},
	}
}

// Failed is closed when the node cannot go on; Err then says why.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is what ended the node, nil while it runs.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.once.Do(func() {
		n.err = err
		close(n.failed)
	})
}

// KafkaAddr is where Kafka clients are listened to; HTTPAddr where people and monitors are.
func (n *Node) KafkaAddr() net.Addr { return n.kafka.Addr() }

// HTTPAddr is the address of health, readiness and metrics.
func (n *Node) HTTPAddr() net.Addr { return n.http.Addr() }

// StartLine says in one line what listens where, where the data is, and how durable it is.
func (n *Node) StartLine() string {
	topic, err := n.follower.layers().Topic()
	durability := "every record is synced before it is acknowledged"
	if err == nil && topic.Relaxed() {
		durability = fmt.Sprintf("records are acknowledged before they are synced (log.flush.interval.messages=%d): a power loss can take them", topic.FlushMessages)
	}
	if n.cluster != nil {
		return fmt.Sprintf("chronik node %d of cluster %s: Kafka on %s, HTTP on http://%s, other nodes on %s and %s, data in %s; %s",
			n.settings.NodeID, n.identity.ClusterID, n.KafkaAddr(), n.HTTPAddr(), n.cluster.control.Addr(), n.cluster.replication.Addr(), strings.Join(n.settings.DataDirs, " and "), durability)
	}
	return fmt.Sprintf("chronik standalone, node %d: Kafka on %s, HTTP on http://%s, data in %s (cluster %s); %s",
		n.settings.NodeID, n.KafkaAddr(), n.HTTPAddr(), strings.Join(n.settings.DataDirs, " and "), n.identity.ClusterID, durability)
}

// Stop ends the node in order. Requests in progress finish if they can before ctx ends. It returns what
// could not be saved; nil means that everything is synced and marked clean.
func (n *Node) Stop(ctx context.Context) error {
	return n.tearDown(ctx)
}

// tearDown takes down what was built, as far as that went.
func (n *Node) tearDown(ctx context.Context) error {
	var errs []error
	if n.http != nil {
		errs = append(errs, n.http.Shutdown(ctx))
	}
	if n.cluster != nil {
		n.cluster.leave(ctx)
	}
	if n.server != nil {
		errs = append(errs, n.server.Shutdown(ctx))
	} else if n.kafka != nil {
		errs = append(errs, n.kafka.Close())
	}
	n.stop()
	n.running.Wait()
	if n.groups != nil {
		n.stopCoordinators()
	}
	if n.broker != nil {
		n.broker.Close()
	}
	if n.replicas != nil {
		errs = append(errs, n.replicas.Close())
	}
	if n.cluster != nil {
		n.cluster.farewell(ctx)
	}
	if n.quorum != nil {
		errs = append(errs, n.quorum.Close())
	}
	if n.cluster != nil {
		n.cluster.close()
	}
	for _, d := range n.disks {
		if d.Committer != nil {
			d.Committer.Close()
		}
	}
	if n.meta != nil {
		n.meta.Close()
	}
	if n.cluster != nil && errors.Join(errs...) == nil {
		errs = append(errs, n.cluster.markClean())
	}
	for _, lock := range n.locks {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// listen opens the Kafka port before the registration tells clients of it.
func (n *Node) listen(context.Context) error {
	ln, err := n.env.Listen("tcp", net.JoinHostPort(n.settings.BindAddr, strconv.Itoa(n.settings.KafkaPort)))
	if err != nil {
		return fmt.Errorf("%w; choose another with --kafka-port, or stop what uses it", err)
	}
	n.kafka = ln
	return nil
}

func (n *Node) serve(background context.Context) error {
	cfg := n.follower.broker()
	budget := mem.NewBudget(requestMemory(cfg))
	n.server = server.New(server.Options{
		Handler: n.broker, Table: n.broker.Table(), Pool: mem.NewPool(budget), Log: n.env.Log,
		Limits: server.Limits{
			MaxRequestBytes: int(cfg.SocketRequestMaxBytes), MaxConnections: int(cfg.MaxConnections),
			MaxConnectionsPerIP: int(cfg.MaxConnectionsPerIP), IdleTimeout: time.Duration(cfg.ConnectionsMaxIdleMs) * time.Millisecond,
		},
	})
	n.running.Go(func() {
		if err := n.server.Serve(ListenerName, n.kafka); !errors.Is(err, server.ErrServerClosed) {
			n.fail(fmt.Errorf("the Kafka listener ended: %w", err))
		}
	})
	n.running.Go(func() {
		select {
		case <-n.quorum.Done():
			if err := n.quorum.Err(); err != nil {
				n.fail(fmt.Errorf("%w; nothing can be changed any more: see to the disk and start again", err))
			}
		case <-background.Done():
		}
	})
	n.running.Go(func() { n.replicas.OpenAll(background) })
	n.running.Go(func() { n.retention(background) })
	n.running.Go(func() { n.clean(background) })
	n.running.Go(func() { n.pruneShares(background) })
	return nil
}
