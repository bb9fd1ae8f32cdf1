package faultfs

import (
	"path"
	"slices"
	"sync/atomic"

	"chronik/internal/invariant"
)

// Op is a set of kinds of calls.
type Op uint32

// The kinds of calls. WriteAt and WriteVAt are both OpWrite, Stat, Size and Space OpStat.
const (
	OpCreate Op = 1 << iota
	OpOpen
	OpRemove // and RemoveAll
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

	// OpAny is all of them.
	OpAny Op = 1<<iota - 1
)

// Call is one call, as rules see it.
type Call struct {
	Op      Op     // one bit
	Name    string // as the caller wrote it; for a file's methods the name it was opened as
	NewName string // of a rename
	Off     int64  // of a read or write; the new length of a truncate
	Len     int64  // bytes of a read or write
}

// Rule says which calls fail or wait, and how. It matches a call of one of Ops for which Match is true.
type Rule struct {
	Ops   Op
	Match func(Call) bool // nil for every call; must not call the file system
	Skip  int             // so many matching calls pass first
	Times int             // then so many are hit; 0 for all

	// Before is called before a call that is hit does anything. It makes calls slow, by sleeping in virtual time, or hang until the
	// test closes a channel.
	Before func(Call)
	// Err is what a call that is hit fails with, wrapped with operation and path: syscall.EIO, say. nil lets it go on.
	Err error
	// Partial is how many bytes of a write get through before it fails.
	Partial int64
}

// Base matches calls on files and directories the last part of whose name matches a pattern of path.Match.
func Base(pattern string) func(Call) bool {
	if _, err := path.Match(pattern, ""); err != nil {
		invariant.Failf("faultfs: pattern %q: %v", pattern, err)
	}
	return func(c Call) bool {
		ok, _ := path.Match(pattern, path.Base(c.Name)) // the pattern was checked above
		return ok
	}
}

// Fault is a rule in force.
type Fault struct {
	fs   *FS
	rule Rule
	seen int // matching calls, under fs.mu
	hits atomic.Int64
}

// Hits returns how many calls the rule has hit: a test that depends on a fault checks that it happened.
func (f *Fault) Hits() int64 { return f.hits.Load() }

// Stop ends the rule. Calls that wait in its Before go on doing so.
func (f *Fault) Stop() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.faults = slices.DeleteFunc(f.fs.faults, func(other *Fault) bool { return other == f })
}

// Inject puts a rule in force, behind those that are. Where several hit a call, all count it and are waited for, and the first
// with an error gives it.
func (f *FS) Inject(r Rule) *Fault {
	fault := &Fault{fs: f, rule: r}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fault)
	return fault
}

// check finds the rules that hit a call, waits for them, and returns the one whose error the call fails with, or nil.
func (f *FS) check(c Call) *Rule {
	var failing *Rule
	for _, fault := range f.hit(c) {
		if fault.rule.Before != nil {
			fault.rule.Before(c)
		}
		if failing == nil && fault.rule.Err != nil {
			failing = &fault.rule
		}
	}
	return failing
}

// hit counts a call.
func (f *FS) hit(c Call) (hit []*Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		r := &fault.rule
		if r.Ops&c.Op == 0 || (r.Match != nil && !r.Match(c)) {
			continue
		}
		fault.seen++
		if fault.seen > r.Skip && (r.Times == 0 || fault.seen <= r.Skip+r.Times) {
			fault.hits.Add(1)
			hit = append(hit, fault)
		}
	}
	return hit
}
