package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/config"
	"chronik/internal/memnet"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/quorum"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// novice is a node that starts, up to where it knows which cluster it belongs to.
type novice struct {
	*cluster
	net *memnet.Network
	log journal
}

// journal is a log that is read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

const secretOfAll = "a secret that only nodes of this cluster know"

// newNovice is node id of 1 to 3, at n1 to n3, and listens.
func newNovice(t *testing.T, n *memnet.Network, id model.BrokerID, secret string, disk vfs.FS) *novice {
	t.Helper()
	host := func(id model.BrokerID) string { return fmt.Sprintf("n%d", id) }
	s := &config.Server{NodeID: id, DataDir: "/data", RaftAddr: host(id) + ":5001", ReplicationPort: 9291, SecretFile: "/secret"}
	for o := model.BrokerID(1); o <= 3; o++ {
		if o != id {
			s.Peers = append(s.Peers, config.Peer{ID: o, Addr: host(o) + ":5001"})
		}
	}
	v := &novice{net: n}
	v.cluster = newCluster(&Node{settings: s, failed: make(chan struct{}), env: Env{
		FS: disk, Log: slog.New(slog.NewTextHandler(&v.log, nil)),
		Listen: func(_, address string) (net.Listener, error) {
			l, err := n.Listen(address)
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		Dial:     func(ctx context.Context, address string) (net.Conn, error) { return n.Dial(ctx, host(id), address) },
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
	}})
	if err := disk.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	if err := v.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// starts runs begin until the returned function is called.
func (v *novice) starts() (end func() error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over := make(chan error, 1)
	go func() { over <- v.begin(ctx) }()
	return func() error {
		cancel(errors.New("the test is over"))
		return <-over
	}
}

// whatItHas asks a node as another one does.
func (v *novice) whatItHas(t *testing.T, of *novice) (peer.Possession, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	return peer.Ask(ctx, peer.AskOptions{Config: v.linkConfig(), Dial: v.dial, Address: of.node.settings.RaftAddr, Node: of.node.settings.NodeID})
}

// TestNobodyIsTakenForEmpty: a node says that it is empty only once it knows; one with data never does, also while it is
// not open yet (M5). Else a node that has lost its disk might begin a second cluster.
func TestNobodyIsTakenForEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		asking := newNovice(t, n, 1, secretOfAll, crashfs.New(1))
		blank := newNovice(t, n, 2, secretOfAll, crashfs.New(2))
		full := newNovice(t, n, 3, secretOfAll, crashfs.New(3))
		for _, v := range []*novice{asking, blank, full} {
			defer v.close()
		}
		for _, of := range []*novice{blank, full} {
			if p, err := asking.whatItHas(t, of); err == nil {
				t.Errorf("node %d says that it has %+v before it can know", of.node.settings.NodeID, p)
			}
		}
		fill(t, full)
		if err := full.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := blank.starts()
		time.Sleep(time.Second) // virtual
		if p, err := asking.whatItHas(t, blank); err != nil || !p.Empty() || len(p.Voters) != 2 {
			t.Errorf("an empty node has %+v, %v", p, err)
		}
		if p, err := asking.whatItHas(t, full); err == nil && p.Empty() {
			t.Error("a node with data says that it is empty, because it is not open yet")
		}
		if err := end(); err == nil {
			t.Error("a node has begun a cluster, and another one has data")
		}
	})
}

// fill makes a directory that of a member of a quorum.
func fill(t *testing.T, v *novice) {
	t.Helper()
	disk := v.node.env.FS
	_, err := quorum.OpenIdentity(disk, "/data", v.node.settings.NodeID, func() quorum.Identity { return newIdentity("a cluster", v.node.settings.NodeID) })
	if err == nil {
		err = disk.MkdirAll("/data/wal/__meta")
	}
	var f vfs.File
	if err == nil {
		f, err = disk.Create(path.Join("/data/wal/__meta", raftStateName))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWaitingSaysForWhat: the lines of a node that waits name whom it waits for, why each of them has not answered, and what to do; and
// they come when something has changed, and each ten seconds.
func TestWaitingSaysForWhat(t *testing.T) {
	for name, c := range map[string]struct {
		others func(t *testing.T, n *memnet.Network) []*novice
		says   []string
		not    []string
	}{
		"nobody runs": {
			says: []string{"node 1, 3 has", "start all of --peers", "node_1=", "n1:5001", "refused", "node_3=", "n3:5001", "start it, or correct --peers"},
		},
		"no packet comes back": {
			others: func(_ *testing.T, n *memnet.Network) []*novice { n.Partition("n2", "n1"); return nil },
			says:   []string{"no answer within 2s", "firewall"},
		},
		"another secret": {
			others: func(t *testing.T, n *memnet.Network) []*novice {
				return []*novice{newNovice(t, n, 1, "sixteen bytes of something else", crashfs.New(1))}
			},
			says: []string{"node_1=", "secret", "--cluster-secret-file"},
		},
		"only starting": {
			others: func(t *testing.T, n *memnet.Network) []*novice {
				return []*novice{newNovice(t, n, 1, secretOfAll, crashfs.New(1))}
			},
			says: []string{"node_1=", "is only starting", "node_3="},
		},
		"one has answered": {
			others: func(t *testing.T, n *memnet.Network) []*novice {
				v := newNovice(t, n, 1, secretOfAll, crashfs.New(1))
				v.declareEmpty()
				return []*novice{v}
			},
			says: []string{"node 3 has", "node_3="},
			not:  []string{"node_1="},
		},
		"all have answered": {
			others: func(t *testing.T, n *memnet.Network) (out []*novice) {
				for _, id := range []model.BrokerID{1, 3} {
					v := newNovice(t, n, id, secretOfAll, crashfs.New(uint64(id)))
					v.declareEmpty()
					out = append(out, v)
				}
				return out
			},
			says: []string{"node 1, which has the lowest ID, begins the cluster", "log of node 1"},
			not:  []string{"node_1=", "node_3=", "not known"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { waitingSays(t, c.others, c.says, c.not) })
		})
	}
}

func waitingSays(t *testing.T, others func(*testing.T, *memnet.Network) []*novice, says, not []string) {
	n := memnet.New()
	v := newNovice(t, n, 2, secretOfAll, crashfs.New(2))
	defer v.close()
	if others != nil {
		for _, o := range others(t, n) {
			defer o.close()
		}
	}
	end := v.starts()
	time.Sleep(remindEvery / 2) // virtual
	synctest.Wait()
	line := v.log.String()
	for _, what := range says {
		if !strings.Contains(line, what) {
			t.Errorf("it does not say %q: %s", what, line)
		}
	}
	for _, what := range not {
		if strings.Contains(line, what) {
			t.Errorf("it says %q: %s", what, line)
		}
	}
	const about = "waiting for the other nodes"
	if got := strings.Count(line, about); got != 1 {
		t.Errorf("%d lines, want one until something changes:\n%s", got, line)
	}
	time.Sleep(2 * remindEvery)
	synctest.Wait()
	if got := strings.Count(v.log.String(), about); got != 3 {
		t.Errorf("%d lines after 25 s, want 3", got)
	}
	if err := end(); err == nil {
		t.Error("it knows what to do")
	}
}
