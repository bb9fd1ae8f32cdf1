//go:build !unix

package server

import "syscall"

// newRawSource has no form here: copySource serves.
func newRawSource(syscall.RawConn) source { return nil }
