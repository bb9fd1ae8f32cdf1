package wal_test

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"sort"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal"
)

// checkAll holds everything that the log knows against the reference (L6).
func (h *harness) checkAll() {
	h.Helper()
	h.checkContent()
	h.checkProducers()
	h.checkTransactions()
	h.checkEpochs()
	for range 3 {
		h.lookUp()
	}
}

// durable is the part of the chain that the log may serve.
func (h *harness) durable() []record.Batch {
	return h.ref.chain[:h.ref.at(h.log.DurableEnd())]
}

// served is what is there of it, from the batch on that holds an offset.
func (h *harness) served(from model.Offset) []record.Batch {
	all := h.ref.present(h.durable())
	return all[sort.Search(len(all), func(i int) bool { return all[i].LastOffset() >= from }):]
}

func (h *harness) checkContent() {
	h.Helper()
	got := h.readAll(h.log)
	if err := equalBatches(got, h.ref.contentFrom(h.durable(), h.ref.start)); err != nil {
		h.failf("offsets %d to %d: %v", h.ref.start, h.log.DurableEnd(), err)
	}
}

func (h *harness) checkProducers() {
	h.Helper()
	d := derive(h.ref.chain[h.ref.floor:])
	if got, want, ok := h.sameProducers(&d); !ok {
		h.failf("producers are\n%+v, want\n%+v", got, want)
	}
	hw := h.log.DurableEnd()
	if got, want := h.log.LastStable(hw), max(d.lastStable(hw), min(h.log.Start(), hw)); got != want {
		h.failf("LastStable(%d) = %d, want %d", hw, got, want)
	}
}

// segmentMade: the number of a segment that ever held batches, in this life of the log or an earlier one, is not
// given again.
func (h *harness) segmentMade(name string) {
	if n, ok := segmentNumber(name); ok && n <= h.highest {
		h.failf("%s is made anew, segment %d had batches already", name, h.highest)
	}
}

func (h *harness) segmentFed(name string) {
	if n, ok := segmentNumber(name); ok {
		h.highest = max(h.highest, n)
	}
}

func segmentNumber(name string) (n int64, ok bool) {
	_, err := fmt.Sscanf(path.Base(name), "segment_%d.wal", &n)
	return n, err == nil
}

// checkFloor: the log remembers the producers of the same batches as before, deleted or not (T1), unless it may have
// forgotten some.
func (h *harness) checkFloor(forgets bool) {
	h.Helper()
	before := h.ref.floor
	if h.remembersFrom(before) {
		return
	}
	h.adoptFloor()
	if h.ref.floor > before && !forgets {
		h.failf("T1: the producers of the batches from %d on are remembered, it was from %d on; %d are deleted",
			h.ref.floor, before, h.ref.at(h.ref.start))
	}
}

// remembersFrom tells whether the log's producers are those of the batches from one on.
func (h *harness) remembersFrom(floor int) bool {
	d := derive(h.ref.chain[floor:])
	_, _, same := h.sameProducers(&d)
	return same
}

// sameProducers compares the log's producers with those that follow from batches. Compaction may leave an older timestamp: of a batch
// that has lost its newest record.
func (h *harness) sameProducers(d *derived) (got, want []wal.ProducerInfo, same bool) {
	got, want = h.log.Producers(), d.infos()
	for i := range got {
		if h.compacts && i < len(want) && got[i].LastTimestamp < want[i].LastTimestamp {
			want[i].LastTimestamp = got[i].LastTimestamp
		}
	}
	return got, want, len(got)+len(want) == 0 || reflect.DeepEqual(got, want)
}

// adoptFloor finds out which of the deleted batches the log remembers the producers of, after something may
// have made it forget: all those from some batch on, or what it says follows from no list of batches.
func (h *harness) adoptFloor() {
	h.Helper()
	for floor := 0; floor <= h.ref.at(h.ref.start); floor++ {
		if h.remembersFrom(floor) {
			h.ref.floor = floor
			return
		}
	}
	h.ref.floor = 0
	d := derive(h.ref.chain)
	h.failf("the producers are\n%+v\nwhich follows from no part of the log; from all of it follows\n%+v", h.log.Producers(), d.infos())
}

// checkTransactions asks for the aborted transactions of a range. All that have a record in it must be named,
// from that record on or from an earlier one; others may be, if they are in the range but for what was
// deleted.
func (h *harness) checkTransactions() {
	h.Helper()
	from, to := h.ref.start, h.log.End()
	if n := int64(to - from); n > 0 {
		from += model.Offset(h.rng.Int64N(n))
		to = from + 1 + model.Offset(h.rng.Int64N(int64(to-from)))
	}
	all, left := derive(h.ref.chain), derive(h.ref.chain[h.ref.at(h.ref.start):])
	got := h.log.AbortedIn(from, to)
	byMarker := make(map[model.Offset]wal.AbortedTxn)
	for _, t := range all.aborted {
		byMarker[t.LastOffset] = t
	}
	for i, t := range got {
		real := byMarker[t.LastOffset]
		if t.Producer != real.Producer || t.FirstOffset < real.FirstOffset || t.LastOffset < from || t.FirstOffset >= to ||
			i > 0 && t.LastOffset <= got[i-1].LastOffset {
			h.failf("aborted in %d to %d: %+v, want those of %+v", from, to, got, all.aborted)
		}
	}
	if h.compacts {
		h.checkVisible(from, to, got)
		return
	}
	for _, t := range left.aborted {
		named := slices.ContainsFunc(got, func(g wal.AbortedTxn) bool {
			return g.LastOffset == t.LastOffset && g.FirstOffset <= t.FirstOffset
		})
		if t.LastOffset >= from && t.FirstOffset < to && !named {
			h.failf("aborted in %d to %d: %+v, want at least those of %+v", from, to, got, left.aborted)
		}
	}
}

// checkVisible: a reader of committed records that is told of these transactions sees the records of all others (T2).
func (h *harness) checkVisible(from, to model.Offset, named []wal.AbortedTxn) {
	h.Helper()
	chain := h.ref.chain[h.ref.at(h.ref.start):]
	if len(chain) == 0 {
		return
	}
	aborted := h.ref.aborted(chain)
	named = slices.Clone(named)
	slices.SortFunc(named, func(a, b wal.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	seen(h.ref.present(chain[h.ref.at(from)-h.ref.at(h.ref.start):h.ref.at(to)-h.ref.at(h.ref.start)]), named, func(b record.Batch, visible bool) {
		if visible == aborted[b.BaseOffset()] {
			h.failf("T2: offset %d is visible: %t; aborted in %d to %d: %+v", b.BaseOffset(), visible, from, to, named)
		}
	})
}

func (h *harness) checkEpochs() {
	h.Helper()
	all, end := h.ref.epochs(), h.log.End()
	if len(all) == 0 {
		return
	}
	for ask := model.LeaderEpoch(0); ask <= h.epoch; ask++ {
		wantEpoch, wantEnd := ask, all[0].start // below all
		for i, e := range all {
			if e.epoch <= ask {
				wantEpoch, wantEnd = e.epoch, end
				if i+1 < len(all) {
					wantEnd = all[i+1].start
				}
			}
		}
		if ask == h.epoch {
			wantEpoch, wantEnd = ask, end // the leader's own
		}
		e, off := h.log.EpochEnd(ask)
		if ask < all[0].epoch && e <= ask && off >= h.ref.start && off <= wantEnd {
			continue // the log may start in a gap, and remember whose it was
		}
		if e != wantEpoch || off != wantEnd {
			h.failf("EpochEnd(%d) = %d, %d; want %d, %d; epochs %v", ask, e, off, wantEpoch, wantEnd, all)
		}
	}
}

// read reads from a random offset with random limits.
func (h *harness) read() {
	r := h.ref
	from := r.start - 2 + model.Offset(h.rng.Int64N(int64(r.end()-r.start)+5))
	limit := from + model.Offset(h.rng.IntN(60))
	maxBytes, minOne := h.rng.IntN(1<<h.rng.IntN(16)+1), h.one(2)
	region, err := h.log.Read(from, limit, maxBytes, minOne)
	rest := h.served(r.start) // the log start is in the first of them, perhaps in the middle
	inside := from < r.start && len(rest) > 0 && rest[0].BaseOffset() <= from && limit > r.start
	if from < r.start && (!inside || err != nil) || from > r.end() {
		if !errors.Is(err, wal.ErrOutOfRange) || inside && minOne && rest[0].LastOffset() < limit {
			h.failf("Read(%d) of %d to %d: %v", from, r.start, r.end(), err)
		}
		return
	}
	if err != nil {
		h.failf("Read(%d, %d, %d, %t): %v", from, limit, maxBytes, minOne, err)
		return
	}
	defer region.Release()
	got, err := region.ReadAll(nil)
	if err != nil {
		h.failf("Read(%d, %d, %d, %t): %v", from, limit, maxBytes, minOne, err)
	}
	h.checkRegion(region, got, from, min(limit, h.log.DurableEnd()), maxBytes, minOne)
}

// checkRegion: whole batches from the one that holds from on, none that reaches past the limit, no more bytes
// than asked for but for one batch, and as much as there is unless a segment ends.
func (h *harness) checkRegion(region *wal.Region, got []byte, from, limit model.Offset, maxBytes int, minOne bool) {
	h.Helper()
	var want []byte
	next := from
	rest := h.served(from)
	for _, b := range rest {
		if b.LastOffset() >= limit || len(got) == len(want) {
			break
		}
		want, next = append(want, b...), b.LastOffset()+1
	}
	if err := equalBatches(got, want); err != nil {
		h.failf("Read(%d, %d, %d, %t): %v", from, limit, maxBytes, minOne, err)
	}
	last := next // a gap may follow
	if more := h.ref.present(h.ref.chain[h.ref.at(next):]); len(more) > 0 && len(got) > 0 {
		last = max(next, more[0].BaseOffset())
	}
	if region.Next() < next || region.Next() > last || region.Len() != len(got) {
		h.failf("Read(%d, %d, %d, %t): %d bytes up to %d, its region says %d up to %d", from, limit, maxBytes, minOne, len(got), next, region.Len(), region.Next())
	}
	if len(got) > maxBytes && (!minOne || len(got) != len(rest[0])) {
		h.failf("Read(%d, %d, %d, %t) returned %d bytes", from, limit, maxBytes, minOne, len(got))
	}
	if len(got) == 0 && len(rest) > 0 && rest[0].LastOffset() < limit && (minOne || len(rest[0]) <= maxBytes) {
		h.failf("Read(%d, %d, %d, %t) returned nothing", from, limit, maxBytes, minOne)
	}
}

// hold keeps a region for later: what it reads then is what it was, or nothing.
func (h *harness) hold() {
	r := h.ref
	durable := h.log.DurableEnd()
	if len(h.held) > 3 || durable <= r.start {
		return
	}
	from := r.start + model.Offset(h.rng.Int64N(int64(durable-r.start)))
	region, err := h.log.Read(from, durable, 1<<(8+h.rng.IntN(8)), true)
	if err != nil {
		h.failf("Read(%d): %v", from, err)
		return
	}
	h.held = append(h.held, heldRegion{region, h.ref.contentFrom(h.durable(), from)[:region.Len()]})
}

func (h *harness) readHeld() {
	for _, held := range h.held {
		got, err := held.region.ReadAll(nil)
		if err != nil && !errors.Is(err, wal.ErrTruncated) {
			h.failf("reading a held region: %v", err)
		}
		if err == nil {
			if err := equalBatches(got, held.want); err != nil {
				h.failf("a held region: %v", err)
			}
		}
		held.region.Release()
	}
	h.held = nil
}

// lookUp asks for records by time.
func (h *harness) lookUp() {
	h.Helper()
	limit := h.log.DurableEnd() - model.Offset(h.rng.IntN(10))
	ts := 1_600_000_000_000 + int64(h.rng.IntN(h.made+8)-4)*1000 + int64(h.rng.IntN(1000))
	want, newest := h.recordsByTime(ts, limit)
	if got, err := h.log.LookupTime(ts, limit); err != nil || got != want {
		h.failf("LookupTime(%d, %d) = %+v, %v; want %+v", ts, limit, got, err, want)
	}
	if got, err := h.log.MaxTimestamp(h.log.DurableEnd()); err != nil || got != newest {
		h.failf("MaxTimestamp = %+v, %v; want %+v", got, err, newest)
	}
}

// recordsByTime finds the first record below limit that is not older than ts, and the newest of all. The n-th
// record of a batch is n ms younger than its first.
func (h *harness) recordsByTime(ts int64, limit model.Offset) (since, newest wal.TimestampOffset) {
	none := wal.TimestampOffset{Offset: model.NoOffset, Timestamp: record.NoTimestamp}
	since, newest = none, none
	durable := h.durable()
	if h.compacts {
		return h.keyedByTime(ts, limit)
	}
	for _, b := range durable[min(len(durable), h.ref.at(h.ref.start)):] {
		for off := max(b.BaseOffset(), h.ref.start); off <= b.LastOffset(); off++ {
			t := b.BaseTimestamp() + int64(off-b.BaseOffset())
			if since == none && t >= ts && off < limit {
				since = wal.TimestampOffset{Offset: off, Timestamp: t}
			}
			if t > newest.Timestamp {
				newest = wal.TimestampOffset{Offset: off, Timestamp: t}
			}
		}
	}
	return since, newest
}

// keyedByTime is recordsByTime where compaction has taken records out of batches.
func (h *harness) keyedByTime(ts int64, limit model.Offset) (since, newest wal.TimestampOffset) {
	none := wal.TimestampOffset{Offset: model.NoOffset, Timestamp: record.NoTimestamp}
	since, newest = none, none
	for _, b := range h.served(h.ref.start) {
		for _, v := range h.ref.records(b) {
			if v.off >= h.ref.start && since == none && v.ts >= ts && v.off < limit {
				since = wal.TimestampOffset{Offset: v.off, Timestamp: v.ts}
			}
			if v.off >= h.ref.start && v.ts > newest.Timestamp {
				newest = wal.TimestampOffset{Offset: v.off, Timestamp: v.ts}
			}
		}
	}
	return since, newest
}
