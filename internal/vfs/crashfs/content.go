package crashfs

import (
	"io"
	"slices"

	"chronik/internal/vfs"
)

const (
	pageSize       = 4096
	sectorsPerPage = pageSize / vfs.SectorSize

	// maxFileSize bounds the pointers of a sparse file.
	maxFileSize = 16 << 30

	// maxVersions and maxSizes bound what is remembered between two syncs. Past that the oldest but the durable one go: the
	// crashes that would need them look like others.
	maxVersions = 4
	maxSizes    = 16
)

// page is a piece of a file. It is immutable once it is part of a content; nil stands for zeros.
type page [pageSize]byte

var zeros page

// content is the bytes of one file: as its users see them, and what else the disk may hold. Bytes of its pages past size
// are zero.
type content struct {
	pages []*page // may end before size does, or after it
	size  int64

	dirty     map[int64]*versions // pages that differ, or may differ, on the disk
	sizes     []int64             // lengths that the disk may hold besides size, the durable one first; empty if that is size
	sizesLost bool                // size is as little worth as a lost page
	last      lastWrite
}

// versions is what the disk may hold of a page other than the current version.
type versions struct {
	old  []*page // the durable one first
	lost bool    // a sync failed since the last write: the next one skips this page, as the kernel holds it for clean (D3)
}

// lastWrite remembers how to undo the last write.
type lastWrite struct {
	off, n int64
	size   int64   // before it
	first  int64   // the first page touched
	pages  []*page // as they were before it
}

func (c *content) page(i int64) *page {
	if i < int64(len(c.pages)) {
		return c.pages[i]
	}
	return nil
}

// put replaces a page without a trace.
func (c *content) put(i int64, p *page) {
	if i < int64(len(c.pages)) {
		c.pages[i] = p
		return
	}
	if p == nil {
		return
	}
	c.pages = append(c.pages, make([]*page, i+1-int64(len(c.pages)))...)
	c.pages[i] = p
}

// update replaces a page by what is in scratch, keeping the old version as one that the disk may still hold.
func (c *content) update(i int64, scratch *page) {
	prev, v := c.page(i), c.dirty[i]
	if v != nil {
		v.lost = false // the page is dirty again as a whole, whether the bytes change or not
	}
	if *scratch == *deref(prev) {
		return
	}
	switch {
	case v == nil:
		if c.dirty == nil {
			c.dirty = make(map[int64]*versions)
		}
		c.dirty[i] = &versions{old: []*page{prev}}
	case len(v.old) < maxVersions:
		v.old = append(v.old, prev)
	default:
		copy(v.old[1:], v.old[2:])
		v.old[maxVersions-1] = prev
	}
	c.put(i, intern(scratch))
}

func deref(p *page) *page {
	if p == nil {
		return &zeros
	}
	return p
}

// intern makes an immutable page of scratch.
func intern(scratch *page) *page {
	if *scratch == zeros {
		return nil
	}
	p := *scratch
	return &p
}

func (c *content) setSize(size int64) {
	if size == c.size {
		return
	}
	c.sizesLost = false
	if len(c.sizes) == maxSizes {
		c.sizes = slices.Delete(c.sizes, 1, 2)
	}
	c.sizes = append(c.sizes, c.size)
	c.size = size
}

func (c *content) readAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := len(p)
	p = p[:min(int64(want), c.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		done += copy(p[done:], deref(c.page(at / pageSize))[at%pageSize:])
	}
	if len(p) < want {
		return len(p), io.EOF
	}
	return len(p), nil
}

// gather is what is left of the buffers of a write, the first done bytes of the first one being copied already.
type gather struct {
	list [][]byte
	done int
}

// write puts the buffers of list at off, one after the other. The caller has checked the range.
func (c *content) write(list [][]byte, off, total int64) {
	if total == 0 {
		return
	}
	c.remember(off, total)
	bufs := gather{list: list}
	var scratch page
	for end := off + total; off < end; {
		i, at := off/pageSize, off%pageSize
		scratch = *deref(c.page(i))
		n := min(pageSize-at, end-off)
		bufs = fill(scratch[at:at+n], bufs)
		c.update(i, &scratch)
		off += n
	}
	c.setSize(max(c.size, off))
}

// fill copies the first bytes of bufs, which hold enough of them, to dst, and returns what comes after.
func fill(dst []byte, bufs gather) gather {
	for len(dst) > 0 {
		n := copy(dst, bufs.list[0][bufs.done:])
		dst = dst[n:]
		if bufs.done += n; bufs.done == len(bufs.list[0]) {
			bufs = gather{list: bufs.list[1:]}
		}
	}
	return bufs
}

func (c *content) remember(off, n int64) {
	first := off / pageSize
	before := c.last.pages[:0]
	for i := first; i <= (off+n-1)/pageSize; i++ {
		before = append(before, c.page(i))
	}
	c.last = lastWrite{off: off, n: n, size: c.size, first: first, pages: before}
}

func (c *content) truncate(size int64) {
	c.last = lastWrite{}
	if size < c.size {
		i := size / pageSize
		if cut := size % pageSize; cut > 0 {
			scratch := *deref(c.page(i))
			clear(scratch[cut:])
			c.update(i, &scratch)
			i++
		}
		for ; i < int64(len(c.pages)); i++ {
			c.update(i, &zeros)
		}
	}
	c.setSize(size)
}

// sync makes durable what is there to be written. Pages that an earlier sync failed to write are not.
func (c *content) sync() {
	for i, v := range c.dirty {
		if !v.lost {
			delete(c.dirty, i)
		}
	}
	if !c.sizesLost {
		c.sizes = nil
	}
}

// syncFailed notes that a sync ended with an error: what was to be written may be on the disk or not, and no later sync
// will write it.
func (c *content) syncFailed() {
	for _, v := range c.dirty {
		v.lost = true
	}
	c.sizesLost = len(c.sizes) > 0
}

// flip changes one bit in every version that the disk holds.
func (c *content) flip(off int64, bit uint) {
	i, at := off/pageSize, off%pageSize
	flipped := func(p *page) *page {
		scratch := *deref(p)
		scratch[at] ^= 1 << bit
		return intern(&scratch)
	}
	c.put(i, flipped(c.page(i)))
	if v := c.dirty[i]; v != nil {
		for k := range v.old {
			v.old[k] = flipped(v.old[k])
		}
	}
}
