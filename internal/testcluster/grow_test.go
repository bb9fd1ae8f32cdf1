package testcluster

import "chronik/internal/vfs/crashfs"

// Extend makes one more node, which does not run yet, and returns its ID.
func (c *Cluster) Extend() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers++
	c.disks[c.peers] = crashfs.New(uint64(c.peers))
	return c.peers
}
