package stream

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/link"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

const (
	leaderNode = model.BrokerID(1)
	leaderAddr = "node-1:9291"
	window     = 256 << 10
)

// cluster is a leader broker, node 1, and followers, over a network in memory, in virtual time.
type cluster struct {
	t         *testing.T
	network   *memnet.Network
	leads     partitions
	followers []*follower
	stop      context.CancelFunc
	done      sync.WaitGroup
	mute      atomic.Bool // the network swallows everything
}

// follower is a follower broker.
type follower struct {
	id       model.BrokerID
	numbers  atomic.Uint64
	receiver *Receiver
	follows  []*following // in the order of the cluster's leads
	ups      atomic.Int64
}

func host(id model.BrokerID) string { return fmt.Sprintf("node-%d", id) }

func linkConfig(id model.BrokerID) link.Config {
	return link.Config{
		ClusterID: "cluster", Node: id, Auth: link.Auth{Secret: []byte("a secret of the cluster")},
		Epoch: func() model.BrokerEpoch { return epochOf(id) },
	}
}

// newCluster makes a leader of count partitions, and followers that know of them. Nothing moves before start.
func newCluster(t *testing.T, count int, followers ...model.BrokerID) *cluster {
	c := &cluster{t: t, network: memnet.New()}
	replicas := append([]model.BrokerID{leaderNode}, followers...)
	for i := range count {
		topic := model.TopicID{byte(i >> 8), byte(i), 1}
		c.leads = append(c.leads, newLeading(topic, int32(i%7), replicas...))
	}
	for _, id := range followers {
		f := &follower{id: id, receiver: NewReceiver()}
		f.receiver.Observe = func(err error) {
			if err == nil {
				f.ups.Add(1)
			}
		}
		for _, l := range c.leads {
			p := newFollowing(id, l.topic, l.part, &f.numbers, window)
			p.route = f.receiver.Follow(p)
			f.follows = append(f.follows, p)
		}
		c.followers = append(c.followers, f)
	}
	return c
}

func (c *cluster) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	listener, err := c.network.Listen(leaderAddr)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, l := range c.leads {
		l.begin()
	}
	senders := NewSenders(c.leads, NewColdReads(2))
	server := &link.Server{Config: func() link.Config { return linkConfig(leaderNode) }, Open: senders.Open}
	c.done.Go(func() { _ = server.Serve(ctx, listener) })
	for _, f := range c.followers {
		dialer := link.NewDialer(link.DialerOptions{
			Config: linkConfig(f.id), Role: link.Replication, Node: leaderNode, Address: leaderAddr, Owner: f.receiver, Seed: uint64(f.id),
			Dial: func(ctx context.Context, address string) (net.Conn, error) {
				if c.mute.Load() {
					<-ctx.Done()
					return nil, context.Cause(ctx)
				}
				return c.network.Dial(ctx, host(f.id), address)
			},
		})
		c.done.Go(func() { dialer.Run(ctx) })
		for _, p := range f.follows {
			p.follow(leaderNode, 5)
		}
	}
	c.done.Go(func() { c.tick(ctx) })
}

// tick lets time pass for the cores.
func (c *cluster) tick(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, f := range c.followers {
			for _, p := range f.follows {
				p.tick()
			}
		}
		for _, l := range c.leads {
			l.do(func() { l.core.Tick(time.Now()) })
		}
	}
}

// silence has the network swallow everything, without a word, or be there again.
func (c *cluster) silence(on bool) {
	c.mute.Store(on)
	c.network.SetDelay(map[bool]time.Duration{true: time.Hour}[on])
}

func (c *cluster) close() {
	c.stop()
	c.done.Wait()
	time.Sleep(lagTime) // what is still to be synced, read or answered
	synctest.Wait()
}

// settled waits until each follower has all that its leader has, durably, and knows that it is committed.
func (c *cluster) settled(within time.Duration) {
	c.t.Helper()
	deadline := time.Now().Add(within)
	for {
		why := c.unsettled()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("after %v %s", within, why)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
}

func (c *cluster) unsettled() string {
	for i, l := range c.leads {
		end := l.log.own().End
		if l.watermark() != end || l.inSync() != 1+len(c.followers) {
			return fmt.Sprintf("partition %d: watermark %d of %d, %d in sync", i, l.watermark(), end, l.inSync())
		}
		for _, f := range c.followers {
			if p := f.follows[i]; !p.streaming() || p.log.own().Synced != end || p.watermark() != end {
				return fmt.Sprintf("partition %d on %d: log %+v, watermark %d of %d", i, f.id, p.log.own(), p.watermark(), end)
			}
		}
	}
	return ""
}

// same checks that the logs are equal, byte by byte.
func (c *cluster) same() {
	c.t.Helper()
	for i, l := range c.leads {
		for _, f := range c.followers {
			if !bytes.Equal(l.log.bytes(), f.follows[i].log.bytes()) {
				c.t.Errorf("R2: partition %d differs on %d", i, f.id)
			}
		}
	}
}
