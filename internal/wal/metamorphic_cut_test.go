package wal_test

import (
	"math"

	"chronik/internal/model"
)

// truncate cuts the log at an offset, or restarts it below its start. While that is under way, any end
// between is right.
func (h *harness) truncate() {
	r := h.ref
	h.disturbRound()
	h.settle()
	if h.found != nil || h.fenced {
		return
	}
	if r.start > 0 && h.one(6) {
		h.restart()
		return
	}
	to := r.start
	if n := int64(r.end() - r.start); n > 0 {
		reach := 1 + h.rng.Int64N(40)
		if h.one(4) {
			reach = n // perhaps below all that the log has told its marks and its files
		}
		to = r.end() - model.Offset(h.rng.Int64N(min(n, reach)+1))
	}
	to = max(to, min(r.safe, r.end())) // as a follower does: not below the high watermark (R2)
	h.note("  to %d", to)
	durable, whole := h.log.DurableEnd(), r.boundary(to)
	r.cutTo = whole
	err := h.doCut(to)
	end := h.log.End()
	switch {
	case h.found != nil:
	case err == nil:
		// What was queued is gone too, but for what was committed while the call waited.
		if whole <= durable && end != whole || whole > durable && (end < durable || end > whole || end != r.boundary(end)) {
			h.failf("Truncate(%d) left the end at %d; durable was %d", to, end, durable)
		}
		h.wasCut(end, h.unfloored)
	case !h.faulty:
		h.failf("Truncate(%d): %v", to, err)
	default: // it stands anywhere between; only a reopening tells
		h.crash()
	}
}

func (h *harness) doCut(to model.Offset) error {
	if h.stale {
		h.log.HideFromJournal(true)
		defer h.log.HideFromJournal(false)
	}
	return h.do(func() error { return h.log.Truncate(to) })
}

// wasCut follows a truncation that is done. It forgets no producer whose batches were deleted before (T1), unless it may.
func (h *harness) wasCut(end model.Offset, forgets bool) {
	h.ref.cut(end)
	h.lastAck, h.observed = end-1, end
	h.checkFloor(forgets)
}

// restart cuts the log below its start, which leaves it empty.
func (h *harness) restart() {
	r := h.ref
	to := chainEnd(r.chain[:r.at(model.Offset(h.rng.Int64N(int64(r.start))))], 0)
	h.note("  restart at %d", to)
	r.restartAt = to
	err := h.doCut(to)
	switch {
	case h.found != nil:
	case err == nil:
		if h.log.Start() != to || h.log.End() != to {
			h.failf("restarted at %d, the log is %d to %d", to, h.log.Start(), h.log.End())
		}
		r.restarted(to)
		h.unfloored = false
		h.wasCut(to, false)
	case !h.faulty:
		h.failf("Truncate(%d): %v", to, err)
	default: // it stands anywhere between; only a reopening tells
		h.crash()
	}
}

// settle lets the queue empty itself: here and there a call meets one that is not.
func (h *harness) settle() {
	if !h.one(3) {
		h.drain()
	}
	if h.found == nil && h.log.End() < h.ref.end() && h.faulty {
		h.ref.fail(h.log.End())
	}
}

func (h *harness) deleteBefore() {
	h.disturbRound()
	r := h.ref
	durable := h.log.DurableEnd()
	if h.fenced || durable <= r.start {
		return
	}
	to := r.start + model.Offset(h.rng.Int64N(int64(durable-r.start)+1))
	if !h.one(4) {
		to = r.start + (to-r.start)/4
	}
	h.note("  %d", to)
	h.unfloored = h.unfloored || h.faulty
	r.startMax = max(r.startMax, to)
	var start model.Offset
	err := h.do(func() (err error) { start, err = h.log.DeleteBefore(to); return err })
	switch {
	case h.found != nil:
	case err == nil:
		if start != to || h.log.Start() != to {
			h.failf("DeleteBefore(%d) = %d, the log starts at %d", to, start, h.log.Start())
		}
		r.start, r.startMax = to, to
		r.acked = max(r.acked, to)
	case !h.faulty:
		h.failf("DeleteBefore(%d): %v", to, err)
	default:
		r.start = h.log.Start()
	}
}

func (h *harness) retention() {
	if h.fenced {
		return
	}
	h.disturbRound()
	r := h.ref
	cfg := h.cfg
	oldest := int64(math.MinInt64) // what is as old may stay
	if h.one(2) && r.at(r.start) < len(r.chain) {
		oldest = r.chain[r.at(r.start)+h.rng.IntN(len(r.chain)-r.at(r.start))].MaxTimestamp()
		cfg.RetentionMs = h.clock.UnixMilli() - oldest
	} else {
		cfg.RetentionBytes = int64(1 << (11 + h.rng.IntN(6)))
	}
	h.log.Configure(cfg)
	defer h.log.Configure(h.cfg)
	limit, before := h.log.DurableEnd(), h.log.Size()
	h.unfloored = h.unfloored || h.faulty
	r.startMax = max(r.startMax, limit)
	var deleted int
	err := h.do(func() (err error) { deleted, err = h.log.EnforceRetention(limit); return err })
	start := h.log.Start()
	switch {
	case h.found != nil:
		return
	case err != nil && !h.faulty:
		h.failf("EnforceRetention: %v", err)
	case err == nil && deleted == 0 && start != r.start:
		h.failf("EnforceRetention deleted nothing, but the log starts at %d instead of %d", start, r.start)
	case deleted > 0 && cfg.RetentionMs < 0 && h.log.Size() < cfg.RetentionBytes:
		h.failf("EnforceRetention left %d bytes of %d, want at least %d", h.log.Size(), before, cfg.RetentionBytes)
	case start < r.start || start > limit:
		h.failf("EnforceRetention moved the start from %d to %d, limit %d", r.start, start, limit)
	}
	for _, b := range r.present(r.chain[r.at(r.start):r.at(start)]) {
		if b.RecordCount() > 0 && cfg.RetentionMs >= 0 && b.MaxTimestamp() >= oldest {
			h.failf("EnforceRetention deleted up to %d, with a batch of %d that is not older than %d", start, b.MaxTimestamp(), oldest)
		}
	}
	r.start = start
	if err == nil {
		r.startMax = start
		if deleted > 0 {
			r.acked = max(r.acked, start)
		}
	}
}
