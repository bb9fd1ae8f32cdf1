//go:build linux && !amd64 && !arm64

package vfs

// asyncDatasync is not tried on this architecture.
func asyncDatasync(uintptr) (err error, ok bool) { return nil, false }
