package crashfs

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"

	"chronik/internal/vfs"
)

// Mode is how much of what was not synced a crash takes.
type Mode uint8

const (
	// Random takes any part of it, drawn from the seed.
	Random Mode = iota
	// Lose takes all of it: the disk holds what was synced and nothing else.
	Lose
	// Keep takes none of it, as when only the process died.
	Keep
)

// Crash cuts the power: it returns the disk that is found afterwards, and this file system with all its open files fails
// from now on with ErrCrashed.
func (f *FS) Crash(m Mode) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
	return f.after(m)
}

// CrashClone returns a disk that a crash at this moment may leave. This file system goes on. It works after Crash too:
// another disk that the same crash may have left.
func (f *FS) CrashClone(m Mode) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.after(m)
}

// LastWrite returns where the last write to a file was and how long, for TornClone. A length of 0 says that there was
// none, or none since a truncate.
func (f *FS) LastWrite(name string) (off, n int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, err := f.file(name)
	if err != nil {
		return 0, 0, &fs.PathError{Op: "lastwrite", Path: name, Err: err}
	}
	last := found.content.last
	return last.off, last.n, nil
}

// TornClone returns the disk that holds everything so far but the last write to a file, of which it holds the first keep
// bytes. That is finer than a sector, so that a test can try every position.
func (f *FS) TornClone(name string, keep int64) (*FS, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	torn, err := f.file(name)
	if err == nil && (keep < 0 || keep > torn.content.last.n) {
		err = syscall.EINVAL
	}
	if err != nil {
		return nil, &fs.PathError{Op: "tear", Path: name, Err: err}
	}
	return f.disk(Keep, func(n *node) content {
		if n == torn {
			return n.content.torn(keep)
		}
		return n.content.copy()
	}), nil
}

// BitFlip changes one bit of a file, 0 the lowest of its byte, in what the users see and in what the disk holds: rot, which
// no sync repairs.
func (f *FS) BitFlip(name string, off int64, bit uint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file(name)
	if err == nil && (off < 0 || off >= n.content.size || bit > 7) {
		err = syscall.EINVAL
	}
	if err != nil {
		return &fs.PathError{Op: "bitflip", Path: name, Err: err}
	}
	n.content.flip(off, bit)
	return nil
}

func (f *FS) after(m Mode) *FS {
	return f.disk(m, func(n *node) content { return n.content.after(m, f.rng) })
}

// disk makes a file system of what a crash leaves. inside says what it leaves of a file.
func (f *FS) disk(m Mode, inside func(*node) content) *FS {
	keep := func() bool { return m == Keep }
	if m == Random {
		share := float64(f.rng.IntN(5)) / 4 // none, all, or something between
		keep = func() bool { return f.rng.Float64() < share }
	}
	dirs := f.journal.disk(keep)

	// A node keeps its identity: were one under two names, it would be one file afterwards too.
	copies := make(map[*node]*node)
	var build func(*node) *node
	build = func(n *node) *node {
		if c := copies[n]; c != nil {
			return c
		}
		if !n.isDir() {
			c := &node{content: inside(n)}
			copies[n] = c
			return c
		}
		entries, changed := dirs[n]
		if !changed {
			entries = n.durable
		}
		c := newDir()
		copies[n] = c
		for _, name := range sortedNames(entries) { // sorted, so that the draws do not depend on the map
			c.entries[name] = build(entries[name])
		}
		c.durable = maps.Clone(c.entries)
		return c
	}
	return &FS{root: build(f.root), rng: rand.New(rand.NewPCG(f.rng.Uint64(), f.rng.Uint64()))}
}

// copy returns the content as its users see it, all durable.
func (c *content) copy() content {
	return content{pages: slices.Clone(c.pages), size: c.size}
}

// after returns what a crash leaves of the content.
func (c *content) after(m Mode, rng *rand.Rand) content {
	out := c.copy()
	if len(c.dirty) == 0 && len(c.sizes) == 0 {
		return out
	}
	dirty := slices.Sorted(maps.Keys(c.dirty))
	choose := chooser(m, rng, len(dirty)*sectorsPerPage)
	for _, i := range dirty {
		out.put(i, mix(c.dirty[i].old, c.page(i), choose))
	}
	out.size = c.sizeAfter(m, rng)
	out.trim()
	return out
}

func (c *content) sizeAfter(m Mode, rng *rand.Rand) int64 {
	k := len(c.sizes) // stands for the current one
	switch m {
	case Lose:
		k = 0
	case Random:
		k = rng.IntN(len(c.sizes) + 1)
	}
	if k == len(c.sizes) {
		return c.size
	}
	return c.sizes[k]
}

// chooser returns what says for one sector after the other, of which there are total, which version the disk holds: below
// old one of the old versions, the durable one being 0; old for the current one.
func chooser(m Mode, rng *rand.Rand, total int) func(old int) int {
	durable := func(int) int { return 0 }
	current := func(old int) int { return old }
	switch m {
	case Lose:
		return durable
	case Keep:
		return current
	}
	// Were each sector drawn alone, a whole write would hardly ever arrive, or a file stay as it was.
	switch rng.IntN(5) {
	case 0:
		return durable
	case 1:
		return current
	case 2: // the disk got so far
		cut := rng.IntN(total + 1)
		return func(old int) int {
			if cut--; cut >= 0 {
				return old
			}
			return 0
		}
	case 3: // nearly all or nearly nothing
		lost := 1 / float64(2+rng.IntN(2*total+1))
		usual, other := current, durable
		if rng.IntN(2) == 0 {
			usual, other = durable, current
		}
		return func(old int) int {
			if rng.Float64() < lost {
				return other(old)
			}
			return usual(old)
		}
	}
	return func(old int) int { return rng.IntN(old + 1) }
}

// mix puts a page together from versions of its sectors.
func mix(old []*page, current *page, choose func(int) int) *page {
	var scratch page
	for at := 0; at < pageSize; at += vfs.SectorSize {
		from := current
		if k := choose(len(old)); k < len(old) {
			from = old[k]
		}
		copy(scratch[at:at+vfs.SectorSize], deref(from)[at:])
	}
	return intern(&scratch)
}

// trim zeroes what lies past the length.
func (c *content) trim() {
	whole := (c.size + pageSize - 1) / pageSize
	if whole < int64(len(c.pages)) {
		clear(c.pages[whole:])
		c.pages = c.pages[:whole]
	}
	if cut := c.size % pageSize; cut > 0 && c.page(whole-1) != nil {
		scratch := *c.page(whole - 1)
		clear(scratch[cut:])
		c.put(whole-1, intern(&scratch))
	}
}

// torn returns the content with all but the first keep bytes of its last write undone.
func (c *content) torn(keep int64) content {
	out := c.copy()
	last := c.last
	for i, before := range last.pages {
		at := last.first + int64(i)
		scratch := *deref(before)
		from, to := last.off-at*pageSize, last.off+keep-at*pageSize
		if from, to = max(from, 0), min(to, pageSize); from < to {
			copy(scratch[from:to], deref(c.page(at))[from:to])
		}
		out.put(at, intern(&scratch))
	}
	if last.n > 0 {
		out.size = last.size
		if keep > 0 {
			out.size = max(out.size, last.off+keep)
		}
	}
	return out
}
