package faultfs

import (
	"math/bits"
	"path"
	"strings"
	"sync"

	"chronik/internal/vfs"
)

// blockSize is the unit in bytes in which space is given and freed.
const blockSize = 4096

// LimitSpace lets so many more bytes be written, and what is freed from now on, until writes fail with full:
// syscall.ENOSPC or syscall.EDQUOT. A write is cut where the space ends. Calling it again sets another limit.
func (f *FS) LimitSpace(free int64, full error) {
	f.space.mu.Lock()
	defer f.space.mu.Unlock()
	f.space.free, f.space.full = free, full
}

// UnlimitSpace ends the limit.
func (f *FS) UnlimitSpace() { f.LimitSpace(0, nil) }

// FreeSpace returns how many bytes the limit leaves; it means nothing without one.
func (f *FS) FreeSpace() int64 {
	f.space.mu.Lock()
	defer f.space.mu.Unlock()
	return f.space.free
}

// ledger knows who has which blocks, limit or not, so that one can come at any time.
type ledger struct {
	inner vfs.FS

	mu    sync.Mutex
	files map[string]*blocks // by clean name
	free  int64              // bytes; goes below zero when there is no limit
	full  error              // what writes fail with; nil for no limit
}

// blocks is what one file has. It is freed when the file has neither a name nor an opening.
type blocks struct {
	set     []uint64
	unnamed bool
	opens   int
}

func (b *blocks) has(i int64) bool {
	return i/64 < int64(len(b.set)) && b.set[i/64]&(1<<(i%64)) != 0
}

func (b *blocks) add(i int64) {
	if word := i / 64; word >= int64(len(b.set)) {
		b.set = append(b.set, make([]uint64, word+1-int64(len(b.set)))...)
	}
	b.set[i/64] |= 1 << (i % 64)
}

// cut drops the blocks from the i-th on, and returns how many there were.
func (b *blocks) cut(i int64) (dropped int64) {
	for word := i / 64; word < int64(len(b.set)); word++ {
		mask := ^uint64(0)
		if word == i/64 {
			mask <<= i % 64
		}
		dropped += int64(bits.OnesCount64(b.set[word] & mask))
		b.set[word] &^= mask
	}
	return dropped
}

// take gives a file the blocks for writing n bytes at off. fits is less than n if the space ends; then full says how.
func (l *ledger) take(b *blocks, off, n int64) (fits int64, full error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	for i := off / blockSize; i <= (off+n-1)/blockSize; i++ {
		if b.has(i) {
			continue
		}
		if l.full != nil && l.free < blockSize {
			return max(i*blockSize-off, 0), l.full
		}
		b.add(i)
		l.free -= blockSize
	}
	return n, nil
}

// cut frees what a truncation to size cuts off.
func (l *ledger) cut(b *blocks, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free += b.cut((size+blockSize-1)/blockSize) * blockSize
}

func (l *ledger) closed(b *blocks) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.opens--
	l.reap(b)
}

func (l *ledger) reap(b *blocks) {
	if b.unnamed && b.opens == 0 {
		l.free += b.cut(0) * blockSize
	}
}

// learn finds out about the files at and below a name that were there before. What they have is guessed from their length.
func (l *ledger) learn(name string) {
	if l.files[clean(name)] != nil {
		return
	}
	info, err := l.inner.Stat(name)
	if err != nil {
		return // whoever called finds out for himself
	}
	if !info.IsDir {
		b := new(blocks)
		for i := int64(0); i*blockSize < info.Size; i++ {
			b.add(i)
		}
		l.files[clean(name)] = b
		return
	}
	entries, err := l.inner.ReadDir(name)
	if err != nil {
		return
	}
	for _, e := range entries {
		l.learn(name + "/" + e.Name)
	}
}

// removing carries out a removal and frees what it removed.
func (l *ledger) removing(name string, remove func(string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learn(name)
	err := remove(name)
	if _, statErr := l.inner.Stat(name); statErr != nil {
		l.drop(name)
	}
	return err
}

// renaming carries out a rename and moves the books along.
func (l *ledger) renaming(oldName, newName string, rename func(string, string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learn(oldName)
	l.learn(newName)
	if err := rename(oldName, newName); err != nil || clean(oldName) == clean(newName) {
		return err
	}
	l.drop(newName)
	from, to := clean(oldName), clean(newName)
	for _, name := range l.below(from) {
		l.files[to+strings.TrimPrefix(name, from)] = l.files[name]
		delete(l.files, name)
	}
	return nil
}

// drop takes the names at and below name away.
func (l *ledger) drop(name string) {
	for _, gone := range l.below(clean(name)) {
		b := l.files[gone]
		delete(l.files, gone)
		b.unnamed = true
		l.reap(b)
	}
}

// below returns the known files at and below a clean name.
func (l *ledger) below(name string) (names []string) {
	for known := range l.files {
		if known == name || strings.HasPrefix(known, name+"/") {
			names = append(names, known)
		}
	}
	return names
}

// cap returns the free space that the limit leaves of what the file system has.
func (l *ledger) cap(free uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		return free
	}
	return min(free, uint64(max(l.free, 0)))
}

func clean(name string) string { return path.Clean(name) }
