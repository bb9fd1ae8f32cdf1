package vfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxNowait is up to which size a read is first tried without waiting.
const maxNowait = 32 << 10

// readCached reads what the page cache holds, without waiting for the disk: n < len(p) if that is not all. Such a read is
// over in a microsecond, so the runtime need not know of it: telling it wakes its monitor thread, which costs more.
func readCached(fd uintptr, p []byte, off int64) (n int) {
	if len(p) == 0 || len(p) > maxNowait || off < 0 {
		return 0
	}
	iov := unix.Iovec{Base: &p[0]}
	iov.SetLen(len(p))
	r, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&iov)), 1, uintptr(off), 0, unix.RWF_NOWAIT)
	if errno != 0 {
		return 0
	}
	return int(r)
}
