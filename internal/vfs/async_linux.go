//go:build linux && (amd64 || arm64)

package vfs

import (
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"chronik/internal/invariant"
)

// SyncParked goes through the kernel's asynchronous I/O (io_submit, Linux 4.18 and newer): a worker of the kernel's
// waits for the device instead of a thread of ours. A blocking fdatasync takes a thread and a scheduler slot of
// the Go runtime with it, wakes the runtime's monitor, and costs about ten switches between threads. Where nothing
// else is to be done meanwhile, it is still the faster one.
//
// io_uring would do the same and could take the write along, but is closed off in most containers.

// maxAsync is how many syncs may be under way at once; further ones block their threads.
const maxAsync = 256

const (
	iocbFdsync    = 3 // IOCB_CMD_FDSYNC
	iocbFlagResfd = 1 // IOCB_FLAG_RESFD
)

// iocb is the kernel's struct iocb.
type iocb struct {
	data     uint64 // comes back with the event
	key      uint32 // the kernel's; with flags per call, which stay 0 whatever the byte order
	rwFlags  uint32
	opcode   uint16
	priority int16
	fd       uint32
	buf      uint64
	bytes    uint64
	offset   int64
	_        uint64
	flags    uint32
	resfd    uint32
}

// ioEvent is the kernel's struct io_event.
type ioEvent struct {
	data   uint64
	object uint64
	result int64 // 0, or minus the error number
	_      int64
}

// asyncSyncs is one context of the kernel's, shared by the whole process.
type asyncSyncs struct {
	context uintptr
	event   *os.File // readable when syncs have completed
	eventFD uint32

	mu      sync.Mutex
	waiting map[uint64]chan<- int64 // by iocb.data
	last    uint64
}

// sharedSyncs starts on first use; nil where the system does not offer asynchronous I/O.
var sharedSyncs = sync.OnceValue(func() *asyncSyncs {
	s := &asyncSyncs{waiting: make(map[uint64]chan<- int64, maxAsync)}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, maxAsync, uintptr(unsafe.Pointer(&s.context)), 0); errno != 0 {
		return nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0) // unused
		return nil
	}
	s.event, s.eventFD = os.NewFile(uintptr(fd), "completed syncs"), uint32(fd)
	go s.reap()
	return s
})

var syncResults = sync.Pool{New: func() any { return make(chan int64, 1) }}

// asyncDatasync is fdatasync without blocking a thread. ok is false if it could not be started, which says nothing
// about the file: the blocking call is due then.
func asyncDatasync(fd uintptr) (err error, ok bool) {
	s := sharedSyncs()
	if s == nil {
		return nil, false
	}
	result := syncResults.Get().(chan int64)
	defer syncResults.Put(result)
	if !s.submit(fd, result) {
		return nil, false
	}
	if res := <-result; res < 0 {
		return syscall.Errno(-res), true
	}
	return nil, true
}

func (s *asyncSyncs) submit(fd uintptr, result chan<- int64) bool {
	s.mu.Lock()
	if len(s.waiting) == maxAsync {
		s.mu.Unlock()
		return false
	}
	s.last++
	id := s.last
	s.waiting[id] = result
	s.mu.Unlock()
	cb := &iocb{data: id, opcode: iocbFdsync, fd: uint32(fd), flags: iocbFlagResfd, resfd: s.eventFD}
	// The kernel copies the iocb and queues the work: the call does not wait for the device. The runtime need not know of it.
	n, _, errno := unix.RawSyscall(unix.SYS_IO_SUBMIT, s.context, 1, uintptr(unsafe.Pointer(&cb)))
	if errno == 0 && n == 1 {
		return true
	}
	s.mu.Lock()
	delete(s.waiting, id)
	s.mu.Unlock()
	return false
}

// reap hands the results to those who wait. It lives as long as the process.
func (s *asyncSyncs) reap() {
	conn, err := s.event.SyscallConn()
	for err == nil {
		if err = conn.Read(s.clearEvent); err == nil {
			s.collect()
		}
	}
	invariant.Failf("D1: the results of syncs cannot be read any more: %v", err)
}

// clearEvent takes the event back; false means that nothing has completed, and that the runtime should wait.
func (s *asyncSyncs) clearEvent(fd uintptr) bool {
	var count uint64
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		if errno != unix.EINTR {
			return errno != unix.EAGAIN
		}
	}
}

// collect takes all that has completed.
func (s *asyncSyncs) collect() {
	var events [64]ioEvent
	var now unix.Timespec // zero: do not wait
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, s.context, 0, uintptr(len(events)),
			uintptr(unsafe.Pointer(&events)), uintptr(unsafe.Pointer(&now)), 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			invariant.Failf("D1: the results of syncs cannot be fetched: %v", errno)
		}
		for _, e := range events[:n] {
			s.mu.Lock()
			result := s.waiting[e.data]
			delete(s.waiting, e.data)
			s.mu.Unlock()
			result <- e.result
		}
		if int(n) < len(events) {
			return
		}
	}
}
