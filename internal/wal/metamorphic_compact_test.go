package wal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/wal"
	"chronik/internal/wal/compact"
)

// keyedTemplates are batches of few keys, with tombstones, and here and there without a key, as from before the topic was
// compacted. Codecs that work with channels are left out: these must not belong to the bubble of one run.
var keyedTemplates = sync.OnceValue(func() []template {
	var all []template
	filler := make([]byte, 4000)
	for i := range 72 {
		codec := compress.None
		if i%5 == 0 {
			codec = compress.Snappy
		}
		b := record.NewBuilder(record.Options{Codec: codec})
		records := 1 + i*7%4
		for n := range records {
			key, value := fmt.Appendf(nil, "key %d", (i*5+n*n*3)%11), filler[:(i*i*37+n*61)%(900/records)]
			if (i+n)%4 == 3 {
				value = nil
			}
			if (i+n*11)%23 == 22 {
				key = nil
			}
			b.Add(int64(n), key, value)
		}
		batch, err := b.Build()
		if err != nil {
			panic(err)
		}
		all = append(all, template{batch, int64(records - 1)})
	}
	return all
})

// setCompaction has the run be about a compacted log.
func (h *harness) setCompaction() {
	h.compacts, h.producers = true, 3
	h.ref.parsed = make(map[*byte][]readRecord)
	h.cfg.SegmentBytes = int64(1 << (9 + h.rng.IntN(4)))
	h.configureCompaction()
}

func (h *harness) configureCompaction() {
	p := &compact.Policy{MinRatio: float64(h.rng.IntN(3)) * 0.3}
	if h.one(3) { // so that about the last so many batches must stay
		p.MinLagMs = h.clock.UnixMilli() - 1_600_000_000_000 - int64(max(0, h.made-h.rng.IntN(60)))*1000
	}
	if h.one(3) {
		p.MostUncleaned = int64(500 << h.rng.IntN(5))
	}
	h.cfg.Compaction = p
	h.cfg.DeleteRetentionMs = []int64{0, 1000, 4000, 30_000}[h.rng.IntN(4)]
}

// round is a round of compaction on its way: it stands still but in cleanOn.
type round struct {
	cleanRules
	step      chan struct{}
	paused    bool // it waits for a step
	done      bool
	disturbed bool // the log was cut while it was under way, at one of its ends
	out       wal.Compacted
	err       error
}

// compact begins a round of compaction, or lets the one that is under way go on, for a while or to its end. Everything else that
// a run does comes in between.
func (h *harness) compact() {
	if !h.compacts || h.fenced {
		return
	}
	if h.round == nil {
		if h.one(2) {
			h.endTransactions()
		}
		if h.drain(); h.found != nil || h.fenced {
			return
		}
		h.beginRound()
	}
	steps := 1 + h.rng.IntN(6)
	if h.one(2) {
		steps = 1 << 20
	}
	for h.round != nil && h.found == nil && !h.Failed() && steps > 0 {
		h.round.paused = false
		h.round.step <- struct{}{}
		h.runRound()
		steps--
	}
}

// endTransactions ends what is open, which no round goes beyond.
func (h *harness) endTransactions() {
	d := derive(h.ref.chain[h.ref.floor:])
	for _, p := range d.infos() {
		if p.TxnStart != model.NoOffset {
			h.endTransactionOf(&d, p.Producer)
		}
	}
}

func (h *harness) beginRound() {
	limit := h.log.LastStable(h.log.DurableEnd())
	if h.greedy {
		limit = h.log.DurableEnd()
	}
	o := wal.CompactOptions{Limit: limit, KeyBytes: 1 << 20, KeyLoad: 0.9, Always: !h.one(4)}
	r := &round{step: make(chan struct{}), cleanRules: cleanRules{
		limit: h.log.LastStable(h.log.DurableEnd()), from: h.log.CompactionWork(o.Limit).From,
		nowMs: h.clock.UnixMilli(), deleteMs: h.cfg.DeleteRetentionMs, minLagMs: h.cfg.Compaction.MinLagMs,
	}}
	o.Pace = func(ctx context.Context, _ int64) error {
		r.paused = true
		select {
		case <-r.step:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.round, h.ref.rules = r, &r.cleanRules
	go func() {
		r.out, r.err = h.log.Compact(context.Background(), o)
		r.done = true
	}()
	h.runRound()
}

// runRound lets the round go on until it waits for its next step, and looks at what it has done.
func (h *harness) runRound() {
	h.Helper()
	r := h.round
	for synctest.Wait(); !r.done && !r.paused; synctest.Wait() {
		if !h.committer.StepCommit() && !h.committer.StepZero() {
			h.Fatalf("a round of compaction waits for ever")
		}
	}
	if h.found != nil {
		return
	}
	if err := h.ref.cleanTo(h.durable(), h.ref.start, h.readAll(h.log)); err != nil {
		h.failf("a round of compaction up to %d at most: %v", r.limit, err)
	}
	if !r.done {
		return
	}
	h.note("  round: %+v, %v", r.out, r.err)
	switch h.round = nil; {
	case r.err == nil:
		if err := h.ref.isClean(&r.cleanRules, r.out.To); err != nil {
			h.failf("after a round of compaction up to %d: %v", r.out.To, err)
		}
	case h.faulty || h.fenced, r.disturbed && errors.Is(r.err, wal.ErrInterrupted):
	default:
		h.failf("a round of compaction failed without a reason: %v", r.err)
	}
	if !h.fenced { // otherwise the disk may have more of it than memory
		h.ref.rules = nil
	}
}

// disturbRound notes that a round that is under way may end with ErrInterrupted.
func (h *harness) disturbRound() {
	if h.round != nil {
		h.round.disturbed = true
	}
}

// seen is what a reader of committed records is told: of each batch of a range whether its records count.
func seen(batches []record.Batch, aborted []wal.AbortedTxn, visit func(b record.Batch, visible bool)) {
	drop := make(map[model.ProducerID]bool)
	for _, b := range batches {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			drop[aborted[0].Producer] = true
			aborted = aborted[1:]
		}
		switch {
		case b.IsControl():
			if m, err := record.ParseControl(b); err == nil && m.Type == record.Abort {
				delete(drop, m.Producer)
			}
		case b.RecordCount() > 0:
			visit(b, !b.IsTransactional() || !drop[b.ProducerID()])
		}
	}
}
