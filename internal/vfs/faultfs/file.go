package faultfs

import (
	"sync/atomic"

	"chronik/internal/vfs"
)

// file is an open file. It implements vfs.File.
type file struct {
	fs     *FS
	inner  vfs.File
	name   string
	blocks *blocks
	closed atomic.Bool
}

// ReadAt implements vfs.File.
func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	if r := h.fs.check(Call{Op: OpRead, Name: h.name, Off: off, Len: int64(len(p))}); r != nil {
		return 0, fail("read", h.name, r.Err)
	}
	return h.inner.ReadAt(p, off)
}

// WriteAt implements vfs.File.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.write([][]byte{p}, off, func(bufs [][]byte) (int64, error) {
		n, err := h.inner.WriteAt(bufs[0], off)
		return int64(n), err
	})
	return int(n), err
}

// WriteVAt implements vfs.File.
func (h *file) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	return h.write(bufs, off, func(bufs [][]byte) (int64, error) { return h.inner.WriteVAt(bufs, off) })
}

// write writes as much of bufs as rules and space allow.
func (h *file) write(bufs [][]byte, off int64, inner func([][]byte) (int64, error)) (int64, error) {
	var total int64
	for _, b := range bufs {
		total += int64(len(b))
	}
	allowed := total
	var failure error
	if r := h.fs.check(Call{Op: OpWrite, Name: h.name, Off: off, Len: total}); r != nil {
		allowed, failure = min(total, max(r.Partial, 0)), r.Err
	}
	if !h.closed.Load() && off >= 0 { // else inner refuses
		if fits, full := h.fs.space.take(h.blocks, off, allowed); fits < allowed {
			allowed, failure = fits, full
		}
	}
	if failure == nil {
		return inner(bufs)
	}
	n, err := inner(first(bufs, allowed))
	if err != nil {
		return n, err
	}
	return n, fail("write", h.name, failure)
}

// first returns the first n bytes of bufs, in as many buffers.
func first(bufs [][]byte, n int64) (out [][]byte) {
	for _, b := range bufs {
		b = b[:min(int64(len(b)), n)]
		n -= int64(len(b))
		out = append(out, b)
	}
	return out
}

// Sync implements vfs.File. A fault happens in place of the sync.
func (h *file) Sync() error {
	if r := h.fs.check(Call{Op: OpSync, Name: h.name}); r != nil {
		if inner, ok := h.inner.(interface{ SyncFailed() }); ok {
			inner.SyncFailed()
		}
		return fail("fdatasync", h.name, r.Err)
	}
	return h.inner.Sync()
}

// SyncFailed passes on that a wrapper of this file failed a sync.
func (h *file) SyncFailed() {
	if inner, ok := h.inner.(interface{ SyncFailed() }); ok {
		inner.SyncFailed()
	}
}

// Truncate implements vfs.File.
func (h *file) Truncate(size int64) error {
	return h.fs.call(Call{Op: OpTruncate, Name: h.name, Off: size}, "truncate", func() error {
		err := h.inner.Truncate(size)
		if err == nil {
			h.fs.space.cut(h.blocks, size)
		}
		return err
	})
}

// Size implements vfs.File.
func (h *file) Size() (size int64, err error) {
	err = h.fs.call(Call{Op: OpStat, Name: h.name}, "stat", func() error {
		size, err = h.inner.Size()
		return err
	})
	return size, err
}

// Close implements vfs.File. A fault does not keep the file open.
func (h *file) Close() error {
	r := h.fs.check(Call{Op: OpClose, Name: h.name})
	err := h.inner.Close()
	if !h.closed.Swap(true) {
		h.fs.space.closed(h.blocks)
	}
	if r != nil {
		return fail("close", h.name, r.Err)
	}
	return err
}
