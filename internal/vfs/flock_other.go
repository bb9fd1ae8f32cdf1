//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package vfs

import (
	"errors"
	"os"
)

// flock refuses: two brokers over one directory would destroy it, so no lock is no start.
func flock(*os.File) error { return errors.ErrUnsupported }
