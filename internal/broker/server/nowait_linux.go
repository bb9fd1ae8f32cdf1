//go:build linux && !race

package server

import (
	"syscall"
	"unsafe"
)

// maxNowait is up to how many bytes a socket is read or written without telling the runtime. Such a call does not wait and is
// over in microseconds; telling the runtime, in case it lasts, wakes the runtime's monitor thread out of its sleep, which
// on a quiet broker costs more than the call.
const maxNowait = 64 << 10

// readNow reads from a socket that does not block.
func readNow(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 || len(b) > maxNowait {
		return syscall.Read(int(fd), b)
	}
	return result(syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))))
}

// writeNow writes to a socket that does not block.
func writeNow(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 || len(b) > maxNowait {
		return syscall.Write(int(fd), b)
	}
	return result(syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))))
}

func result(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
