package nodetest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"chronik/internal/config"
	"chronik/internal/memnet"
	"chronik/internal/node"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// KafkaPort and Host are where a Broker listens on its network.
const (
	Host      = "10.0.0.1"
	KafkaPort = 9092
)

// Options are what tests vary. The zero value is a broker on an empty disk with all defaults.
type Options struct {
	FS     vfs.FS            // nil: an empty crashfs
	Kafka  map[string]string // broker keys
	NodeID string            // empty: the default
	Dirs   string            // data directories; empty: /data
}

// Broker is a running node.
type Broker struct {
	*node.Node
	FS  vfs.FS
	Net *memnet.Network
	Log *Log

	t    testing.TB
	opts Options
	once sync.Once
}

// Start runs a node until the test ends, and fails the test if it does not stop in order.
func Start(t testing.TB, o Options) *Broker {
	t.Helper()
	if o.FS == nil {
		o.FS = crashfs.New(1)
	}
	b := &Broker{FS: o.FS, Net: memnet.New(), Log: new(Log), t: t, opts: o}
	n, err := node.New(t.Context(), Settings(t, o), b.Env())
	if err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	b.Node = n
	t.Cleanup(func() { b.Stop() })
	return b
}

// Env is the world of the node, for tests that start a second one in it.
func (b *Broker) Env() node.Env {
	return node.Env{
		FS: b.FS, Now: time.Now, Log: slog.New(slog.NewTextHandler(b.Log, nil)),
		Listen: func(_, address string) (net.Listener, error) {
			l, err := b.Net.Listen(address)
			if err != nil {
				return nil, err
			}
			return l, nil
		},
	}
}

// Settings are those of a node that o describes.
func Settings(t testing.TB, o Options) *config.Server {
	t.Helper()
	flags := map[string]string{"bind-addr": Host, "data-dir": "/data"}
	if o.Dirs != "" {
		flags["data-dir"] = o.Dirs
	}
	if o.NodeID != "" {
		flags["node-id"] = o.NodeID
	}
	s, err := config.Load(config.Inputs{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	s.Kafka = o.Kafka
	return s
}

// Stop ends the node, and fails the test if it does not end in order. After the first Stop or End it does nothing.
func (b *Broker) Stop() {
	b.t.Helper()
	if err := b.End(); err != nil {
		b.t.Errorf("the node does not stop in order: %v", err)
	}
}

// End ends a node that may have failed, and returns what its Stop said; nil if it was ended before.
func (b *Broker) End() (err error) {
	b.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = b.Node.Stop(ctx)
	})
	return err
}

// Restart stops the node and starts another over the same disk.
func (b *Broker) Restart() *Broker {
	b.t.Helper()
	b.Stop()
	o := b.opts
	o.FS = b.FS
	return Start(b.t, o)
}

// Log keeps what a node logs. The zero value is empty.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
