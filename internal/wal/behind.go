package wal

import (
	"sync"

	"chronik/internal/vfs"
)

const (
	// bulkBytes is from which size on a group counts as part of a bulk load.
	bulkBytes = 64 << 10
	// tailBytes is how much of what bulk loads have written to a device stays in the page cache for those who
	// read the tail.
	tailBytes = 128 << 20
)

// behind drops what bulk loads wrote from the page cache, once it lies tailBytes behind. A bulk load fills
// memory faster than anybody reads it back; left alone it takes ever new pages, which costs more than the write
// itself where the host hands out memory page by page, and pushes out what others still read. Dropped
// pages are used again for the next groups while the processor's caches and the host still have them.
// Small groups stay cached: their readers come back for hours of them.
type behind struct {
	mu    sync.Mutex
	queue []written // oldest first, from head on
	head  int
	bytes int64
}

// written is a synced range of a segment that is still in the page cache.
type written struct {
	key  fileKey
	from int64
	n    int64
}

// wrote notes a synced group and returns what has fallen behind, in the order in which it was written.
func (b *behind) wrote(w written) (out []written) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, w)
	b.bytes += w.n
	from := b.head
	for b.bytes > tailBytes {
		b.bytes -= b.queue[b.head].n
		b.head++
	}
	if b.head == from {
		return nil
	}
	out = append(out, b.queue[from:b.head]...)
	if b.head > len(b.queue)/2 {
		n := copy(b.queue, b.queue[b.head:])
		clear(b.queue[n:]) // so that no deleted log is kept alive
		b.queue, b.head = b.queue[:n], 0
	}
	return out
}

// dropBehind takes a synced group into account. A file that nobody has open any more is left alone: its pages
// go with the next who needs memory.
func (c *Committer) dropBehind(key fileKey, g *group) {
	if g.bytes < bulkBytes {
		return
	}
	for _, w := range c.behind.wrote(written{key: key, from: g.pos, n: g.bytes}) {
		f := c.files.lookup(w.key)
		if f == nil {
			continue
		}
		if v, ok := f.File.(vfs.Forgetter); ok {
			v.Forget(w.from, w.n)
		}
		f.release()
	}
}
