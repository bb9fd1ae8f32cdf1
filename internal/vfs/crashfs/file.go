package crashfs

import (
	"io/fs"
	"sync/atomic"
	"syscall"
)

// file is an open file. It implements vfs.File.
type file struct {
	fs     *FS
	node   *node
	name   string // it was opened as
	closed atomic.Bool
}

// ReadAt implements vfs.File.
func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	h.fs.begin(Op{Kind: OpRead, Name: h.name, Off: off, Len: int64(len(p))})
	h.fs.mu.RLock()
	defer h.fs.mu.RUnlock()
	if err := h.usable(off); err != nil {
		return 0, &fs.PathError{Op: OpRead.String(), Path: h.name, Err: err}
	}
	return h.node.content.readAt(p, off)
}

// WriteAt implements vfs.File.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.WriteVAt([][]byte{p}, off)
	return int(n), err
}

// WriteVAt implements vfs.File.
func (h *file) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		total += int64(len(b))
	}
	return doOp(h.fs, Op{Kind: OpWrite, Name: h.name, Off: off, Len: total}, func() (int64, error) {
		if err := h.usable(off); err != nil {
			return 0, err
		}
		if off > maxFileSize-total {
			return 0, syscall.EFBIG
		}
		h.node.content.write(bufs, off, total)
		return total, nil
	})
}

// Sync implements vfs.File.
func (h *file) Sync() error {
	return do(h.fs, Op{Kind: OpSync, Name: h.name}, func() error {
		if err := h.usable(0); err != nil {
			return err
		}
		h.node.content.sync()
		return nil
	})
}

// SyncFailed is what a wrapper calls instead of Sync when it makes a sync fail. From then on the disk may hold the bytes
// written before or not, and further calls of Sync succeed and do nothing for them, as on Linux (D3); only
// writing them again does.
func (h *file) SyncFailed() {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.node.content.syncFailed()
}

// Truncate implements vfs.File.
func (h *file) Truncate(size int64) error {
	return do(h.fs, Op{Kind: OpTruncate, Name: h.name, Off: size}, func() error {
		if err := h.usable(size); err != nil {
			return err
		}
		if size > maxFileSize {
			return syscall.EFBIG
		}
		h.node.content.truncate(size)
		return nil
	})
}

// Size implements vfs.File.
func (h *file) Size() (int64, error) {
	h.fs.mu.RLock()
	defer h.fs.mu.RUnlock()
	if err := h.usable(0); err != nil {
		return 0, &fs.PathError{Op: OpStat.String(), Path: h.name, Err: err}
	}
	return h.node.content.size, nil
}

// Close implements vfs.File.
func (h *file) Close() error {
	return do(h.fs, Op{Kind: OpClose, Name: h.name}, func() error {
		if h.closed.Swap(true) {
			return fs.ErrClosed
		}
		return nil
	})
}

// usable tells what speaks against a call at position off.
func (h *file) usable(off int64) error {
	switch {
	case h.fs.crashed:
		return ErrCrashed
	case h.closed.Load():
		return fs.ErrClosed
	case off < 0:
		return syscall.EINVAL
	}
	return nil
}
