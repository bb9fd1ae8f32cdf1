package wal_test

import (
	"syscall"
	"time"

	"chronik/internal/model"
	"chronik/internal/vfs/faultfs"
)

// ops are what a run is made of, with how often each is drawn.
var ops = []struct {
	weight int
	name   string
	do     func(*harness)
}{
	{30, "append", (*harness).appendPlain},
	{30, "append idempotent", (*harness).appendIdempotent},
	{8, "append transactional", (*harness).appendTransactional},
	{6, "end transaction", (*harness).endTransaction},
	{4, "append replicated", (*harness).appendReplicated},
	{40, "commit", func(h *harness) { h.committer.StepCommit() }},
	{8, "settle", (*harness).settleJournal},
	{6, "drain", (*harness).drain},
	{6, "zero", func(h *harness) { h.committer.StepZero() }},
	{8, "tick", (*harness).tick},
	{10, "upkeep", (*harness).upkeep},
	{12, "read", (*harness).read},
	{4, "hold a region", (*harness).hold},
	{4, "read held regions", (*harness).readHeld},
	{6, "look up", (*harness).lookUp},
	{4, "truncate", (*harness).truncate},
	{4, "delete before", (*harness).deleteBefore},
	{2, "retention", (*harness).retention},
	{12, "compact", (*harness).compact},
	{2, "new epoch", (*harness).newEpoch},
	{2, "configure", (*harness).configure},
	{2, "close and open", (*harness).closeAndOpen},
	{1, "stop badly", (*harness).stopBadly},
	{4, "crash", (*harness).crash},
	{3, "crash soon", func(h *harness) { h.armCrash(20) }},
	{3, "clone at the next ack", func(h *harness) { h.cloneAck = true }},
	{1, "full disk", (*harness).fullDisk},
	{1, "fault", (*harness).fault},
	{1, "check", (*harness).checkAll},
}

var weights = func() (sum int) {
	for _, op := range ops {
		sum += op.weight
	}
	return sum
}()

// step does one thing, and looks at what became of it.
func (h *harness) step() {
	n := h.rng.IntN(weights)
	for _, op := range ops {
		if n -= op.weight; n < 0 {
			h.note("%s", op.name)
			op.do(h)
			break
		}
	}
	switch {
	case h.found != nil:
		h.crash()
	case h.log.End() != h.ref.end():
		if !h.faulty || h.log.End() > h.ref.end() {
			h.failf("the log ends at %d, want %d", h.log.End(), h.ref.end())
		}
		h.ref.fail(h.log.End())
	}
	if len(h.clones) > 3 {
		h.checkClones()
	}
	h.checkFence()
}

// tick lets a second go by.
func (h *harness) tick() {
	h.clock = h.clock.Add(time.Second)
	h.committer.StepTick()
}

func (h *harness) upkeep() {
	if h.committer.HasUpkeep() {
		_ = h.do(func() error { h.committer.StepUpkeep(); return nil })
	}
}

func (h *harness) newEpoch() {
	h.epoch += model.LeaderEpoch(h.rng.IntN(3))
	if err := h.log.BeginEpoch(h.epoch); err != nil {
		h.failf("BeginEpoch(%d): %v", h.epoch, err)
	}
}

func (h *harness) configure() {
	if !h.big {
		h.cfg.SegmentBytes = int64(1 << (10 + h.rng.IntN(7)))
	}
	h.cfg.IndexIntervalBytes = int64(1 << (8 + h.rng.IntN(6)))
	if h.compacts {
		h.cfg.SegmentBytes = int64(1 << (9 + h.rng.IntN(4)))
		h.configureCompaction()
	}
	h.log.Configure(h.cfg)
}

// closeAndOpen is a clean stop: nothing is lost, and all waiters are told.
func (h *harness) closeAndOpen() {
	h.readHeld()
	for _, held := range h.held {
		held.region.Release()
	}
	h.held = nil
	err := h.do(func() error { return h.log.Close() })
	if h.found != nil {
		h.crash()
		return
	}
	h.round = nil
	if err != nil && !h.faulty && !h.fenced {
		h.failf("Close: %v", err)
	}
	h.drain()
	if h.waiting != 0 {
		h.failf("%d waiters were not told when the log was closed", h.waiting)
	}
	h.committer.CloseStepped()
	h.checkClones()
	h.clearFaults()
	h.open()
}

// stopBadly is a stop whose last sync fails, or is cut short, and a crash soon after the next start.
func (h *harness) stopBadly() {
	if h.settle(); h.found != nil {
		return
	}
	h.faulty = true
	h.faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Skip: h.rng.IntN(2), Times: 1, Err: syscall.EIO})
	h.closeAndOpen()
	if h.found == nil {
		h.armCrash(12)
	}
}

// fullDisk lets the disk run full soon, or gives the space back.
func (h *harness) fullDisk() {
	if h.one(2) {
		h.faults.UnlimitSpace()
		return
	}
	h.faulty = true
	h.faults.LimitSpace(int64(h.rng.IntN(64<<10)), syscall.ENOSPC)
}

// fault lets one of the next calls fail.
func (h *harness) fault() {
	h.faulty = true
	kinds := []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpSync, faultfs.OpTruncate, faultfs.OpCreate, faultfs.OpSyncDir, faultfs.OpRename, faultfs.OpRemove}
	h.faults.Inject(faultfs.Rule{
		Ops: kinds[h.rng.IntN(len(kinds))], Skip: h.rng.IntN(6), Times: 1, Err: syscall.EIO, Partial: int64(h.rng.IntN(3000)),
	})
}

// clearFaults gives the log a sound disk.
func (h *harness) clearFaults() {
	h.faults.UnlimitSpace()
	h.faulty = false
}

// checkFence has a fenced log crash, or its process restart over the same page cache, at some time.
func (h *harness) checkFence() {
	if !h.fenced || !h.one(3) {
		return
	}
	if h.one(2) {
		h.note("restart after a fence")
		h.closeAndOpen()
		return
	}
	h.crash()
}
