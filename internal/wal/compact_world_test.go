package wal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/wal/compact"
)

// keyed is a log of few keys, and all that was ever appended to it.
type keyed struct {
	t     testing.TB
	log   *Log
	rng   *rand.Rand
	full  []record.Batch
	seqs  map[model.ProducerID]int32
	open  map[model.ProducerID]bool
	reach model.Offset // below, rounds may have dropped what is superseded
	high  model.Offset // the high watermark that the last round went by
}

func newKeyed(t testing.TB, e *env, seed uint64) *keyed {
	e.cfg.SegmentBytes, e.cfg.IndexIntervalBytes = 2000, 256
	e.cfg.Compaction, e.cfg.ProducerExpiryMs = &compact.Policy{}, 0
	l, _ := e.open()
	return &keyed{t: t, log: l, rng: rand.New(rand.NewPCG(seed, 1)), seqs: make(map[model.ProducerID]int32), open: make(map[model.ProducerID]bool)}
}

func (k *keyed) write(batches int) {
	k.t.Helper()
	for range batches {
		b := k.batch()
		w := newWaiter()
		if _, err := k.log.Append(Append{Batch: b, Epoch: k.log.epochForTest(), Waiter: w, Verified: true}); err != nil {
			k.t.Fatal(err)
		}
		if err := <-w.ch; err != nil {
			k.t.Fatal(err)
		}
		k.full = append(k.full, slices.Clone(b))
	}
}

func (k *keyed) batch() record.Batch {
	o := record.Options{Codec: compress.Codec(k.rng.IntN(5))}
	ts := 1_600_000_000_000 + int64(len(k.full))*1000
	switch k.rng.IntN(4) {
	case 0:
		id := model.ProducerID(1 + k.rng.IntN(3))
		o.Producer = &record.Producer{ID: id, Sequence: k.seqs[id]}
	case 1:
		id := model.ProducerID(11 + k.rng.IntN(2))
		if k.open[id] && k.rng.IntN(2) == 0 {
			k.open[id] = false
			return record.EndTxn(record.Marker{Type: record.ControlType(k.rng.IntN(2)), Producer: id, CoordinatorEpoch: int32(len(k.full)), TimestampMs: ts})
		}
		k.open[id] = true
		o.Producer, o.Transactional = &record.Producer{ID: id, Sequence: k.seqs[id]}, true
	}
	b := record.NewBuilder(o)
	n := 1 + k.rng.IntN(5)
	for i := range n {
		var value []byte
		if k.rng.IntN(5) > 0 {
			value = fmt.Appendf(make([]byte, 0, 80), "%d of batch %d, %050d", i, len(k.full), k.rng.Uint64())
		}
		b.Add(ts+int64(i), fmt.Appendf(nil, "key %d", k.rng.IntN(12)), value)
	}
	if o.Producer != nil {
		k.seqs[o.Producer.ID] += int32(n)
	}
	out, err := b.Build()
	if err != nil {
		k.t.Fatal(err)
	}
	return out
}

// compact does a round, whether it is due or not.
func (k *keyed) compact() (Compacted, error) {
	k.high = k.log.DurableEnd()
	limit := k.log.LastStable(k.high)
	out, err := k.log.Compact(context.Background(), CompactOptions{Limit: limit, KeyBytes: 1 << 20, KeyLoad: 0.9, Always: true})
	k.reach = max(k.reach, out.To)
	return out, err
}

// keyedRecord is one record of a log.
type keyedRecord struct {
	off        model.Offset
	ts         int64
	key, value string
	tombstone  bool
}

// committed is what a reader of committed records sees, with the transactions that a broker would tell it of.
func committed(t testing.TB, batches []record.Batch, aborted []AbortedTxn) (recs []keyedRecord) {
	t.Helper()
	drop := make(map[model.ProducerID]bool)
	slices.SortFunc(aborted, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	for _, b := range batches {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			drop[aborted[0].Producer] = true
			aborted = aborted[1:]
		}
		if b.IsControl() {
			if m, err := record.ParseControl(b); err == nil && m.Type == record.Abort {
				delete(drop, m.Producer)
			}
			continue
		}
		if b.IsTransactional() && drop[b.ProducerID()] || b.RecordCount() == 0 {
			continue
		}
		data, err := compress.Decompress(nil, b.Records(), b.Codec(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		it := record.NewIterator(data, b.RecordCount())
		for r := (record.Record{}); it.Next(&r); {
			recs = append(recs, keyedRecord{b.BaseOffset() + model.Offset(r.OffsetDelta), b.BaseTimestamp() + r.TimestampDelta, string(r.Key), string(r.Value), r.Value == nil})
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return recs
}

// left reads the log to its end, as readers do: in pieces.
func (k *keyed) left(l *Log) (out []record.Batch) {
	k.t.Helper()
	for at := l.Start(); at < l.DurableEnd(); {
		r, err := l.Read(at, l.DurableEnd(), 700, true)
		if err != nil {
			k.t.Fatalf("Read(%d): %v", at, err)
		}
		data, err := r.ReadAll(nil)
		next := r.Next()
		r.Release()
		if err != nil || len(data) == 0 || next <= at {
			k.t.Fatalf("Read(%d): %d bytes up to %d, %v", at, len(data), next, err)
		}
		for at = next; len(data) > 0; {
			var b record.Batch
			if b, data, err = record.Next(data); err != nil {
				k.t.Fatal(err)
			}
			if err := b.Check(); err != nil {
				k.t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return out
}

// check holds a log against what was appended: a reader ends with the same values, nothing is there that was not written, and nothing is missing
// but what has a later record of its key below reach, or is a tombstone. Below cleanTo there is one record of each key.
func (k *keyed) check(l *Log, full []record.Batch, cleanTo model.Offset) {
	k.t.Helper()
	left := k.left(l)
	all := committed(k.t, full, abortedOf(full))
	got := committed(k.t, left, l.AbortedIn(l.Start(), l.End()))
	written, final, seen := make(map[model.Offset]keyedRecord), make(map[string]string), make(map[string]string)
	newest, newestClean := make(map[string]model.Offset), make(map[string]model.Offset)
	fold := func(m map[string]string, r keyedRecord) {
		if m[r.key] = r.value; r.tombstone {
			delete(m, r.key)
		}
	}
	for _, r := range all {
		written[r.off] = r
		fold(final, r)
		if r.off < k.reach {
			newest[r.key] = r.off
		}
		if r.off < cleanTo {
			newestClean[r.key] = r.off
		}
	}
	for _, r := range got {
		if written[r.off] != r {
			k.t.Fatalf("offset %d is %+v, it was written as %+v", r.off, r, written[r.off])
		}
		if r.off < cleanTo && newestClean[r.key] != r.off {
			k.t.Fatalf("offset %d of %q is there, below %d the latest is %d", r.off, r.key, cleanTo, newestClean[r.key])
		}
		fold(seen, r)
		delete(written, r.off)
	}
	for off, r := range written {
		if off >= k.reach || newest[r.key] == off && !r.tombstone {
			k.t.Fatalf("offset %d of %q is missing; rounds reached up to %d", off, r.key, k.reach)
		}
	}
	if !maps.Equal(final, seen) {
		k.t.Fatalf("a reader ends with %v, want %v", seen, final)
	}
	k.lookUp(l, left)
}

// abortedOf works out which transactions were aborted.
func abortedOf(batches []record.Batch) (out []AbortedTxn) {
	first := make(map[model.ProducerID]model.Offset)
	for _, b := range batches {
		if !b.IsTransactional() {
			continue
		}
		m, err := record.ParseControl(b)
		start, open := first[b.ProducerID()]
		switch {
		case errors.Is(err, record.ErrNotControl) && !open:
			first[b.ProducerID()] = b.BaseOffset()
		case err == nil:
			if open && m.Type == record.Abort {
				out = append(out, AbortedTxn{Producer: m.Producer, FirstOffset: start, LastOffset: b.BaseOffset()})
			}
			delete(first, m.Producer)
		}
	}
	return out
}

// lookUp reads from every offset, also in gaps, and looks for times.
func (k *keyed) lookUp(l *Log, left []record.Batch) {
	k.t.Helper()
	for from, i := l.Start(), 0; from < l.DurableEnd(); from++ {
		for left[i].LastOffset() < from {
			i++
		}
		r, err := l.Read(from, l.DurableEnd(), 1, true)
		if err != nil || r.Next() != left[i].LastOffset()+1 || r.Len() != len(left[i]) {
			k.t.Fatalf("Read(%d): %d bytes up to %d, %v; want batch %d to %d", from, r.Len(), r.Next(), err, left[i].BaseOffset(), left[i].LastOffset())
		}
		r.Release()
	}
	all := committed(k.t, left, nil)
	for range 10 {
		ts := 1_600_000_000_000 + int64(k.rng.IntN(len(k.full)+2))*1000 + int64(k.rng.IntN(4))
		want := notFound
		for _, r := range all {
			if r.ts >= ts {
				want = TimestampOffset{r.off, r.ts}
				break
			}
		}
		got, err := l.LookupTime(ts, l.DurableEnd())
		if marker := slices.ContainsFunc(left, func(b record.Batch) bool { return b.IsControl() && b.BaseOffset() == got.Offset }); err != nil || got != want && !marker {
			k.t.Fatalf("LookupTime(%d) = %+v, %v; want %+v", ts, got, err, want)
		}
	}
}
