//go:build !unix

package server

import (
	"io"
	"syscall"
)

// newRawSource has no form here: copySource serves.
func newRawSource(syscall.RawConn) source { return nil }

// newRawSink has no form here: the connection's own Write serves.
func newRawSink(syscall.RawConn) io.Writer { return nil }
