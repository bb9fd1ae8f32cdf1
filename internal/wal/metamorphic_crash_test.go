package wal_test

import (
	"bytes"
	"syscall"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// processDies is, beside the modes of crashfs, the crash that loses nothing that was written, but leaves it
// as little synced as it was.
const processDies crashfs.Mode = 255

// armCrash lets the power fail, or the process die, at a disk operation that is not far.
func (h *harness) armCrash(within int) {
	h.crashIn, h.crashMode = h.rng.IntN(within), crashfs.Mode(h.rng.IntN(3))
	if h.one(3) {
		h.crashMode = processDies
	}
	h.hookCrash()
}

// hookCrash counts down in the disk's hook. A call in which the process dies is the last one that takes
// effect.
func (h *harness) hookCrash() {
	h.disk.OnOp(func(op crashfs.Op) {
		if !op.Kind.Changes() || h.crashIn < 0 || h.found != nil {
			return
		}
		if h.crashIn--; h.crashIn < 0 {
			h.note("  crash of mode %d before %v", h.crashMode, op)
			h.cutOff()
		}
	})
}

// cutOff takes the disk from the log.
func (h *harness) cutOff() {
	if h.crashMode == processDies {
		h.gate.shut = true
		h.found = h.disk
		return
	}
	h.found = h.disk.Crash(h.crashMode)
}

// replaceDisk goes on with the disk that the crash has left. The next crash is often near.
func (h *harness) replaceDisk() {
	h.disarmCrash()
	h.disk, h.found = h.found, nil
	if h.one(4) {
		h.armCrash(12)
	}
}

// crash ends the process now, with or without the power, if that has not happened already, and reopens the
// log.
func (h *harness) crash() {
	if h.found == nil {
		h.die()
	}
	h.abandon(h.log, h.committer)
	h.checkClones()
	h.replaceDisk()
	h.open()
}

// die ends the process, with or without the power.
func (h *harness) die() {
	h.crashMode = crashfs.Mode(h.rng.IntN(3))
	if h.one(3) {
		h.crashMode = processDies
	}
	h.note("  mode %d", h.crashMode)
	h.cutOff()
}

// troubleAtOpen lets a call fail here and there while the log is opened, or has the disk be full then, which opening does not
// mind (L1).
func (h *harness) troubleAtOpen() *faultfs.Fault {
	rule := faultfs.Rule{Times: 1, Err: syscall.EIO, Partial: int64(h.rng.IntN(3000))}
	if h.one(5) {
		kinds := []faultfs.Op{
			faultfs.OpRead, faultfs.OpWrite, faultfs.OpSync, faultfs.OpTruncate, faultfs.OpOpen, faultfs.OpReadDir, faultfs.OpStat,
			faultfs.OpSyncDir, faultfs.OpRemove,
		}
		rule.Ops, rule.Skip = kinds[h.rng.IntN(len(kinds))], h.rng.IntN(1+h.rng.IntN(12))
	}
	if h.one(5) {
		h.faults.LimitSpace(0, syscall.ENOSPC)
	}
	return h.faults.Inject(rule)
}

// abandon drops a log whose process has died.
func (h *harness) abandon(log *wal.Log, c *wal.Committer) {
	for _, r := range h.held {
		r.region.Release()
	}
	h.held = nil
	_ = h.do(func() error { log.Abandon(nil); return nil })
	h.round = nil
	h.drain()
	c.CloseStepped()
}

// checkClones opens the disks taken at acknowledgements: what was acknowledged is there.
func (h *harness) checkClones() {
	h.Helper()
	for _, c := range h.clones {
		committer := wal.NewSteppedCommitter(wal.CommitterOptions{FS: c.disk, OpenFiles: 4, Now: h.now})
		_, err := h.openJournal(c.disk)
		var log *wal.Log
		if err == nil {
			log, _, err = h.openLog(committer, c.disk, nil)
		}
		if err != nil {
			h.failf("opening a disk as of an acknowledgement: %v", err)
			break
		}
		if log.End() < c.acked {
			h.failf("acknowledged up to %d, but a crash at that moment leaves %d", c.acked, log.End())
		}
		if got := h.readFrom(log, c.start); !bytes.HasPrefix(got, c.content) {
			h.failf("a crash at the moment of an acknowledgement: %v", equalBatches(got, c.content))
		}
		_ = h.do(func() error { log.Abandon(nil); return nil })
		committer.CloseStepped()
	}
	h.clones = nil
}

// clone is a disk as a crash at the moment of an acknowledgement would have left it.
type clone struct {
	disk    *crashfs.FS
	acked   model.Offset
	start   model.Offset
	content []byte // from start up to acked
}

func (h *harness) disarmCrash() {
	h.disk.OnOp(nil)
	h.crashIn = -1
}
