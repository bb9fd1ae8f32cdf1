package crashfs

import (
	"fmt"
	"io/fs"
)

// Kind is what a call does.
type Kind uint8

// The kinds of calls. WriteAt and WriteVAt are both OpWrite, Stat, Size and Space OpStat; Size is not observed.
const (
	OpCreate Kind = iota
	OpOpen
	OpRemove
	OpRemoveAll
	OpRename
	OpMkdir
	OpReadDir
	OpStat
	OpSyncDir
	OpLock
	OpRead
	OpWrite
	OpSync
	OpTruncate
	OpClose
	numKinds
)

var kindNames = [numKinds]string{"create", "open", "remove", "removeall", "rename", "mkdir", "readdir", "stat", "syncdir",
	"lock", "read", "write", "sync", "truncate", "close"}

func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Changes tells whether calls of this kind change what is on the disk after a crash: the points at which a test cuts the power.
func (k Kind) Changes() bool {
	switch k {
	case OpOpen, OpReadDir, OpStat, OpRead, OpClose:
		return false
	}
	return true
}

// Op is one call, as a hook sees it.
type Op struct {
	Kind    Kind
	Name    string // as the caller wrote it; for a file's methods the name it was opened as
	NewName string // of a rename
	Off     int64  // of a read or write; the new length of a truncate
	Len     int64  // bytes of a read or write
}

func (o Op) String() string {
	switch o.Kind {
	case OpRename:
		return fmt.Sprintf("%v %s %s", o.Kind, o.Name, o.NewName)
	case OpRead, OpWrite:
		return fmt.Sprintf("%v %s %d+%d", o.Kind, o.Name, o.Off, o.Len)
	case OpTruncate:
		return fmt.Sprintf("%v %s %d", o.Kind, o.Name, o.Off)
	}
	return fmt.Sprintf("%v %s", o.Kind, o.Name)
}

// OnOp sets what is called before every call takes effect, on the caller's goroutine and with no lock held: hook may take
// a CrashClone, or Crash, after which the call fails. nil ends it. A disk after a crash has no hook.
func (f *FS) OnOp(hook func(Op)) {
	if hook == nil {
		f.hook.Store(nil)
		return
	}
	f.hook.Store(&hook)
}

// Count returns how many calls of a kind there were, failed ones too.
func (f *FS) Count(k Kind) int64 { return f.counts[k].Load() }

// begin observes a call.
func (f *FS) begin(op Op) {
	f.counts[op.Kind].Add(1)
	if hook := f.hook.Load(); hook != nil {
		(*hook)(op)
	}
}

// doOp carries out a call under the lock, and names it in its error.
func doOp[T any](f *FS, op Op, call func() (T, error)) (result T, err error) {
	f.begin(op)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		err = ErrCrashed
	} else {
		result, err = call()
	}
	if err != nil {
		err = &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: err}
	}
	return result, err
}

// do is doOp for a call without a result.
func do(f *FS, op Op, call func() error) error {
	_, err := doOp(f, op, func() (struct{}, error) { return struct{}{}, call() })
	return err
}
