package vfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxIOV is how many buffers Linux takes in one gathering write (UIO_MAXIOV).
const maxIOV = 1024

// writeV writes bufs with as few calls of pwritev as the system allows.
func (f *osFile) writeV(bufs [][]byte, off int64) (int64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	var written int64
	bufs, skip := advance(bufs, 0, 0)
	for len(bufs) > 0 {
		chunk := bufs[:min(len(bufs), maxIOV)]
		if skip > 0 { // the last write ended inside a buffer; the caller's slice is not ours to change
			chunk = append([][]byte{chunk[0][skip:]}, chunk[1:]...)
		}
		n, err := unix.Pwritev(int(f.fd), chunk, off+written)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return written, err
		case n <= 0: // chunk starts with a byte to write, so this would loop for ever
			return written, io.ErrShortWrite
		}
		written += int64(n)
		bufs, skip = advance(bufs, skip, n)
	}
	return written, nil
}

// advance returns what is left of bufs, of whose first skip bytes are done, after n more: the rest starts skip bytes into
// its first buffer, which has at least one byte left.
func advance(bufs [][]byte, skip, n int) (rest [][]byte, restSkip int) {
	n += skip
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	return bufs, n
}

// datasync is fdatasync: of the metadata only what reading the data needs, which includes every change of the length.
func (f *osFile) datasync() error {
	return retry(func() error { return unix.Fdatasync(int(f.fd)) })
}

// SyncParked implements ParkingSyncer.
func (f *osFile) SyncParked() error {
	if err, ok := asyncDatasync(f.fd); ok {
		return f.mark("fdatasync", err)
	}
	return f.Sync()
}

// Forget implements Forgetter. That the system may not follow the advice is no error.
func (f *osFile) Forget(off, n int64) { _ = unix.Fadvise(int(f.fd), off, n, unix.FADV_DONTNEED) }

func syncDir(d *os.File) error { return d.Sync() }

func diskSpace(name string) (total, free uint64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(name, &st) }); err != nil {
		return 0, 0, err
	}
	unit := uint64(st.Bsize)
	return st.Blocks * unit, st.Bavail * unit, nil // Bavail, not Bfree: without what is reserved for root
}

// retry repeats a system call that a signal interrupts before it has done anything.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
