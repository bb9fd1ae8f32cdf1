package testcluster

import (
	"testing"

	"chronik/internal/vfs/crashfs"
)

// Extend makes one more node, which does not run yet, and returns its ID.
func (c *Cluster) Extend() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers++
	c.machines[c.peers] = newMachine(crashfs.New(uint64(c.peers)))
	return c.peers
}

// StartInRacks makes a cluster with one node in each rack and starts them.
func StartInRacks(t testing.TB, kafka map[string]string, racks ...string) *Cluster {
	t.Helper()
	c := New(t, len(racks), kafka)
	errs := make(chan error, len(racks))
	for i, rack := range racks {
		flags := c.settings(i + 1)
		flags["rack"] = rack
		go func() { errs <- c.start(i+1, flags) }()
	}
	for range racks {
		if err := <-errs; err != nil {
			t.Fatalf("a node does not start: %v", err)
		}
	}
	return c
}
