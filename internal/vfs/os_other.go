//go:build !linux

package vfs

import (
	"errors"
	"os"
	"runtime"
)

// Production runs on Linux. Elsewhere the calls below are correct but not fast, so that the tools and the tests run.

func (f *osFile) writeV(bufs [][]byte, off int64) (int64, error) {
	var written int64
	for _, b := range bufs {
		n, err := f.f.WriteAt(b, off+written)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (f *osFile) datasync() error { return f.f.Sync() }

// syncDir syncs a directory where that exists: on Windows a directory cannot be synced, and need not be.
func syncDir(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.Sync()
}

func diskSpace(string) (total, free uint64, err error) { return 0, 0, errors.ErrUnsupported }
