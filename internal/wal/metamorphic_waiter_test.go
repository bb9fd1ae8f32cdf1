package wal_test

import (
	"errors"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// observer is told what the log tells its replica.
type observer struct{ h *harness }

func (o observer) EndAdvanced(end model.Offset) {
	h := o.h
	if end < h.observed || end > h.log.DurableEnd() {
		h.failf("the observer was told of end %d after %d, durable is %d", end, h.observed, h.log.DurableEnd())
	}
	h.observed = end
}

func (o observer) Fenced(err error) {
	h := o.h
	h.note("  fenced: %v", err)
	if h.fenced || !h.faulty && h.found == nil {
		h.failf("fenced without a reason, or again: %v", err)
	}
	h.fenced = true
}

// waiter is told what becomes of one append.
type waiter struct {
	h     *harness
	base  model.Offset
	last  model.Offset
	retry bool
	told  bool
}

func (w *waiter) Done(err error) {
	h := w.h
	if w.told {
		h.failf("the waiter of offset %d was told twice", w.base)
	}
	w.told = true
	h.waiting--
	if err != nil {
		h.note("  told of offset %d: %v", w.base, err)
		if !h.faulty && h.found == nil && !errors.Is(err, wal.ErrTruncated) && !errors.Is(err, wal.ErrClosed) {
			h.failf("the append at offset %d failed without a reason: %v", w.base, err)
		}
		if !w.retry {
			h.ref.fail(w.base)
		}
		return
	}
	if h.log.DurableEnd() <= w.last {
		h.failf("offset %d was acknowledged, but only %d is durable", w.last, h.log.DurableEnd())
	}
	if !w.retry {
		if w.last <= h.lastAck {
			h.failf("offset %d was acknowledged after %d", w.last, h.lastAck)
		}
		h.lastAck = w.last
		if h.observed <= w.last {
			h.failf("offset %d was acknowledged, and the observer was told of end %d", w.last, h.observed)
		}
	}
	if h.relaxed() {
		return // it is written, and no more was promised (D1)
	}
	h.ref.ack(w.last)
	moves := h.round != nil && !h.round.paused // what compaction has done at this moment, nobody has looked at yet
	if h.cloneAck && h.found == nil && !moves {
		h.cloneAck = false
		r := h.ref
		h.clones = append(h.clones, clone{
			disk: h.disk.CrashClone(crashfs.Mode(h.rng.IntN(2))), acked: r.acked, start: r.startMax,
			content: r.contentFrom(r.chain[:r.at(r.acked)], r.startMax),
		})
	}
}
