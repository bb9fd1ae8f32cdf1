package testcluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"chronik/internal/vfs/crashfs"
)

// ErrPowerCut is why a node did not start, or did not stop in order: its power was cut meanwhile.
var ErrPowerCut = errors.New("the power was cut")

// machine is what a node runs on, until its power is cut: then there is another one, with what is left of the disk.
type machine struct {
	disk  *crashfs.FS
	power context.Context // done when it is cut
	off   context.CancelFunc
}

func newMachine(disk *crashfs.FS) *machine {
	m := &machine{disk: disk}
	m.power, m.off = context.WithCancel(context.Background())
	return m
}

// blame returns what went wrong on the machine, as ErrPowerCut if it has no power any more.
func (m *machine) blame(err error) error {
	if err != nil && m.power.Err() != nil {
		return fmt.Errorf("%w: %w", ErrPowerCut, err)
	}
	return err
}

func (c *Cluster) machine(id int) *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machines[id]
}

// Kill cuts a node's power. Its disk is then one that this may leave.
func (c *Cluster) Kill(id int) {
	c.T.Helper()
	c.cut(id, c.machine(id), crashfs.Random)
	c.Bury(id)
}

// CutAfter takes a node's power at the ops-th call from now on that changes its disk, whatever the node is doing then: it may be starting, or
// stopping. dead is closed when the power is gone. Bury must come then, before the node can run again.
func (c *Cluster) CutAfter(id int, ops int64, mode crashfs.Mode) (dead <-chan struct{}) {
	gone := make(chan struct{})
	m := c.machine(id)
	var left atomic.Int64
	left.Store(ops)
	m.disk.OnOp(func(op crashfs.Op) {
		if op.Kind.Changes() && left.Add(-1) == 0 {
			c.cut(id, m, mode)
			close(gone)
		}
	})
	return gone
}

// cut takes the power: nothing of the node reaches the others or the disk any more. A machine loses its power once: what the dying
// node still tries to do to the disk changes nothing.
func (c *Cluster) cut(id int, m *machine, mode crashfs.Mode) {
	m.disk.OnOp(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machines[id] != m {
		return
	}
	c.reach(id, c.Net.Partition)
	m.off() // before the disk refuses anything, so that blame knows why
	c.machines[id] = newMachine(m.disk.Crash(mode))
}

// Bury ends what is left of a node without power: its goroutines, which have no disk to write to. It can run again then, and keeps its power.
func (c *Cluster) Bury(id int) {
	c.machine(id).disk.OnOp(nil)
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if n != nil {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Node.Stop(gone)
	}
	c.reach(id, c.Net.Heal)
}

// Isolate cuts a node's links to the other nodes; Rejoin heals them. Clients reach it all the time.
func (c *Cluster) Isolate(id int) { c.others(id, c.Net.Partition) }

// Rejoin is the end of Isolate.
func (c *Cluster) Rejoin(id int) { c.others(id, c.Net.Heal) }

// reach does something to all links of a node.
func (c *Cluster) reach(id int, do func(a, b string)) {
	c.others(id, do)
	do(host(id), clientHost)
}

func (c *Cluster) others(id int, do func(a, b string)) {
	for o := 1; o <= c.peers; o++ {
		if o != id {
			do(host(id), host(o))
		}
	}
}
