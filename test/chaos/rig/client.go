package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// A link that was cut tells nobody. At the clients' defaults (10 to 40 s) the clients would be measured, not the cluster; so these
// give a connection up when the other side's kernel has not acknowledged what was sent for deadPeer, and a request that was
// received but not answered after RequestTime: half of it is what the broker is given, half what the way may take.
const (
	deadPeer    = 300 * time.Millisecond
	RequestTime = 600 * time.Millisecond

	dialTime  = 100 * time.Millisecond
	dialAgain = 200 * time.Millisecond // after one that got no answer
)

// dialer dials an address that did not answer only now and then, and refuses at once in between. franz-go dials anew, twice, for each of the
// requests that it has for a broker, one after the other, before it asks who leads now.
type dialer struct {
	mu     sync.Mutex
	silent map[string]time.Time // address -> since when
}

var errSilent = errors.New("no answer a moment ago")

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	silent := time.Since(d.silent[addr]) < dialAgain
	d.mu.Unlock()
	if silent {
		// An error of the network: franz-go tries again.
		return nil, &net.OpError{Op: "dial", Net: network, Err: errSilent}
	}
	raw := net.Dialer{Timeout: dialTime, Control: giveUpSilent}
	conn, err := raw.DialContext(ctx, network, addr)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && ctx.Err() == nil {
		d.mu.Lock()
		d.silent[addr] = time.Now()
		d.mu.Unlock()
	}
	return conn, err
}

func giveUpSilent(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
	})
	return errors.Join(err, set)
}

// Brokers are the addresses of all nodes.
func (c *Cluster) Brokers() []string {
	var out []string
	for _, n := range c.Nodes {
		out = append(out, fmt.Sprintf("%s:%d", c.Net.IP(n.ID), kafkaPort))
	}
	return out
}

// ClientOptions are those of a client that wants to go on quickly when a node is gone.
func (c *Cluster) ClientOptions() []kgo.Opt {
	d := &dialer{silent: make(map[string]time.Time)}
	return []kgo.Opt{
		kgo.Dialer(d.dial), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.ProduceRequestTimeout(RequestTime / 2), kgo.RequestTimeoutOverhead(RequestTime / 2),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.RetryTimeout(time.Minute),
	}
}

// Client makes a client that ends with the test.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.T.Helper()
	cl, err := kgo.NewClient(append(append(c.ClientOptions(), kgo.SeedBrokers(c.Brokers()...)), opts...)...)
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(cl.Close)
	return cl
}
