package powercut

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/config"
	"chronik/internal/memnet"
	"chronik/internal/node"
	"chronik/internal/vfs/crashfs"
)

const (
	brokerHost = "broker"
	clientHost = "client"
	brokerAddr = brokerHost + ":9092"
)

// machine is the computer that the node runs on: its disk and its plug. Its lives come one after the other; the
// network and the clients on it outlive them.
type machine struct {
	seed     uint64
	settings *config.Server
	network  *memnet.Network
	lies     func(crashfs.Kind, string) bool
	tick     time.Duration
	every    uint64 // metadata entries between two snapshots
	log      *slog.Logger

	disk *crashfs.FS // what the next life finds
	born int         // lives so far
}

func newMachine(p plan, log *slog.Logger) (*machine, error) {
	settings, err := config.Load(config.Inputs{
		Flags: map[string]string{"bind-addr": brokerHost, "data-dir": "data"},
		Env:   []string{"CHRONIK_KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS=20", "CHRONIK_KAFKA_AUTO_CREATE_TOPICS_ENABLE=false"},
	})
	if err != nil {
		return nil, err
	}
	return &machine{seed: p.seed, settings: settings, network: memnet.New(),
		tick: p.tick, every: p.every, log: log, disk: crashfs.New(p.seed)}, nil
}

// supply is the power of one life, and what ends it.
type supply struct {
	life  life
	disk  *crashfs.FS
	cable *cable
	card  networkCard

	ops   atomic.Int64  // changing operations so far
	due   atomic.Int64  // the operation at which the power goes; 0: none yet
	up    chan struct{} // closed when life.ops is reached
	once  sync.Once
	dead  chan struct{} // closed when the power is gone
	after *crashfs.FS   // what the disk holds then; written before dead is closed
}

func newSupply(l life, m *machine) *supply {
	s := &supply{life: l, disk: m.disk, card: networkCard{network: m.network}, up: make(chan struct{}), dead: make(chan struct{})}
	s.cable = &cable{FS: m.disk, lies: m.lies, latency: l.latency, failAt: l.failure, log: m.log}
	if l.end != cleanStop {
		s.due.Store(l.ops)
	}
	m.disk.OnOp(s.op)
	return s
}

// op runs before each operation takes effect, on the node's goroutine.
func (s *supply) op(op crashfs.Op) {
	if !op.Kind.Changes() {
		return
	}
	n := s.ops.Add(1)
	if n == s.life.ops {
		close(s.up)
	}
	if n == s.due.Load() {
		s.once.Do(s.cut)
	}
}

// cut takes the power, or kills the process.
func (s *supply) cut() {
	if s.life.network {
		s.card.cut()
	}
	if s.life.end == processDeath {
		s.cable.unplugged.Store(true)
		s.after = s.disk
	} else {
		s.after = s.disk.Crash(s.life.mode)
	}
	close(s.dead)
}

func (s *supply) isDead() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

// hurt tells whether the node has a reason to end by itself.
func (s *supply) hurt() bool { return s.isDead() || s.cable.failed() }

// run is one life of the node, from its start to the end that the life says, or to the end of ctx. The error
// says what the node did that it must not do.
func (m *machine) run(ctx context.Context, l life) (err error) {
	s := newSupply(l, m)
	n, err := m.start(s)
	if err != nil {
		if !s.hurt() {
			return fmt.Errorf("the node does not start: %w", err)
		}
		s.once.Do(s.cut)
		return m.end(s)
	}
	select {
	case <-s.up:
	case <-n.Failed():
		if !s.hurt() {
			return errors.Join(fmt.Errorf("the node ended by itself: %w", n.Err()), m.stop(n, s))
		}
		s.once.Do(s.cut)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the node was at disk operation %d of %d: %w", s.ops.Load(), l.ops, context.Cause(ctx)), m.stop(n, s))
	}
	if l.end == cleanStop && l.stopOps >= 0 {
		s.due.Store(s.ops.Load() + 1 + l.stopOps)
	}
	if err := m.stop(n, s); err != nil {
		return err
	}
	return m.end(s)
}

// serve is the last life: nothing happens to it until the caller stops it.
func (m *machine) serve() (stop func() error, err error) {
	s := newSupply(life{end: cleanStop}, m)
	n, err := m.start(s)
	if err != nil {
		return nil, fmt.Errorf("the node does not start: %w", err)
	}
	return func() error {
		if err := n.Err(); err != nil {
			return errors.Join(fmt.Errorf("the node ended by itself: %w", err), m.stop(n, s))
		}
		return errors.Join(m.stop(n, s), m.end(s))
	}, nil
}

// start starts a node whose goroutines carry the life's name, so that it can be told that none is left.
func (m *machine) start(s *supply) (n *node.Node, err error) {
	m.born++
	pprof.Do(context.Background(), m.labels(), func(ctx context.Context) {
		n, err = node.New(ctx, m.settings, node.Env{FS: s.cable, Listen: s.card.listen, Now: time.Now, Log: m.log,
			Tick: m.tick, SnapshotEvery: m.every})
	})
	return n, err
}

// stop takes the node down. Only one with power and a whole disk must manage to save everything, but none may hang.
func (m *machine) stop(n *node.Node, s *supply) error {
	ctx, cancel := withPatience(context.Background())
	defer cancel()
	err := n.Stop(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("stopping the node took longer than %v: %w\n%s", patience, err, m.goroutines())
	}
	if err != nil && !s.hurt() {
		return fmt.Errorf("stopping the node: %w", err)
	}
	return nil
}

// end checks that nothing is left of a life, and finds the disk for the next one.
func (m *machine) end(s *supply) error {
	if err := m.awaitNoGoroutines(); err != nil {
		return err
	}
	s.disk.OnOp(nil)
	if s.isDead() {
		m.disk = s.after
		return nil
	}
	m.disk = s.disk.Crash(crashfs.Lose) // it came through its stop: all of it is synced
	return nil
}
