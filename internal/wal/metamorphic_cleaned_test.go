package wal_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// cleanRules say what a round of compaction may do to a log.
type cleanRules struct {
	limit    model.Offset // it looks at nothing from here on
	from     model.Offset // below, rounds before it knew the keys
	nowMs    int64
	deleteMs int64 // delete.retention.ms
	minLagMs int64 // min.compaction.lag.ms
}

// readRecord is one record of a log.
type readRecord struct {
	off        model.Offset
	ts         int64
	key, value string
	keyless    bool
	tombstone  bool
}

// now is what is there of a batch that was appended, nil if nothing is.
func (r *reference) now(b record.Batch) record.Batch {
	if n, ok := r.cleaned[b.BaseOffset()]; ok {
		return n
	}
	return b
}

// present is what is there of a list of batches that were appended.
func (r *reference) present(chain []record.Batch) []record.Batch {
	if len(r.cleaned) == 0 {
		return chain
	}
	all := make([]record.Batch, 0, len(chain))
	for _, b := range chain {
		if b = r.now(b); b != nil {
			all = append(all, b)
		}
	}
	return all
}

// records parses a batch, once. It must be one that stays as it is.
func (r *reference) records(b record.Batch) []readRecord {
	if b == nil || b.RecordCount() == 0 {
		return nil
	}
	all, ok := r.parsed[&b[0]]
	if ok {
		return all
	}
	data := b.Records()
	if b.Codec() != compress.None {
		var err error
		if data, err = compress.Decompress(nil, data, b.Codec(), 1<<20); err != nil {
			panic(err) // its checksum held
		}
	}
	it := record.NewIterator(data, b.RecordCount())
	for v := (record.Record{}); it.Next(&v); {
		all = append(all, readRecord{
			b.BaseOffset() + model.Offset(v.OffsetDelta), b.BaseTimestamp() + v.TimestampDelta, string(v.Key), string(v.Value), v.Key == nil, v.Value == nil,
		})
	}
	if it.Err() != nil {
		panic(it.Err())
	}
	r.parsed[&b[0]] = all
	return all
}

// cleanTo takes content, which is read from start on, for what a round of compaction has made of a chain, unless that is against the rules.
func (r *reference) cleanTo(chain []record.Batch, start model.Offset, content []byte) error {
	if bytes.Equal(r.contentFrom(chain, start), content) {
		return nil
	}
	content = bytes.Clone(content)
	j := newJudge(r, chain)
	made := make(map[model.Offset]record.Batch)
	var next record.Batch
	for _, b := range chain {
		if b.LastOffset() < start {
			continue
		}
		if next == nil && len(content) > 0 {
			var err error
			if next, content, err = record.Next(content); err != nil {
				return err
			}
		}
		var got record.Batch
		if next != nil && next.BaseOffset() == b.BaseOffset() {
			got, next = next, nil
		}
		was := r.now(b)
		if bytes.Equal(got, was) {
			continue
		}
		if err := j.change(was, got); err != nil {
			return fmt.Errorf("the batch at %d: %w", b.BaseOffset(), err)
		}
		made[b.BaseOffset()] = got
	}
	if next != nil || len(content) > 0 {
		return fmt.Errorf("%d bytes follow behind the last batch", len(next)+len(content))
	}
	if r.cleaned == nil {
		r.cleaned = make(map[model.Offset]record.Batch)
	}
	maps.Copy(r.cleaned, made)
	r.safe = max(r.safe, r.rules.limit)
	return nil
}

// judge knows what of a chain may go.
type judge struct {
	r       *reference
	newest  map[string]model.Offset // of each key, below the limit, of what was not aborted
	aborted map[model.Offset]bool   // base offsets of batches
}

func newJudge(r *reference, chain []record.Batch) *judge {
	j := &judge{r: r, newest: make(map[string]model.Offset), aborted: r.aborted(chain)}
	for _, b := range chain {
		if b.LastOffset() >= r.rules.limit {
			break
		}
		if b.IsControl() || j.aborted[b.BaseOffset()] {
			continue
		}
		for _, v := range r.records(b) {
			if !v.keyless {
				j.newest[v.key] = v.off
			}
		}
	}
	return j
}

// aborted are the base offsets of the batches of a chain that belong to aborted transactions.
func (r *reference) aborted(chain []record.Batch) map[model.Offset]bool {
	aborted := make(map[model.Offset]bool)
	for _, t := range derive(chain).aborted {
		for _, b := range chain[r.at(t.FirstOffset)-r.at(chain[0].BaseOffset()):] {
			if b.BaseOffset() >= t.LastOffset {
				break
			}
			if b.ProducerID() == t.Producer && b.IsTransactional() {
				aborted[b.BaseOffset()] = true
			}
		}
	}
	return aborted
}

// change judges what a round has made of a batch, nil if nothing is left of it.
func (j *judge) change(was, got record.Batch) error {
	rules := j.r.rules
	switch {
	case was == nil:
		return fmt.Errorf("it has come back")
	case was.LastOffset() >= rules.limit:
		return fmt.Errorf("it was changed")
	case got != nil && got.Check() != nil:
		return got.Check()
	}
	left := j.r.records(got)
	for _, v := range j.r.records(was) {
		if len(left) > 0 && left[0] == v {
			left = left[1:]
			continue
		}
		if why := j.mustStay(was, &v); why != "" {
			return fmt.Errorf("%+v is missing: %s", v, why)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%+v was never in it", left[0])
	}
	if got == nil {
		return nil
	}
	return j.rewritten(was, got)
}

// mustStay says why a record must be there, nothing if it need not.
func (j *judge) mustStay(b record.Batch, v *readRecord) string {
	rules := j.r.rules
	horizon, set := b.DeleteHorizon()
	expired := set && rules.nowMs >= horizon
	switch {
	case b.IsControl() && !expired:
		return "it is a marker, and its time is not over"
	case b.IsControl():
	case v.off >= rules.from && rules.minLagMs > 0 && v.ts > rules.nowMs-rules.minLagMs:
		return "it is younger than min.compaction.lag.ms"
	case j.aborted[b.BaseOffset()], v.keyless, j.newest[v.key] > v.off:
	case v.tombstone && !expired:
		return "it is a tombstone, and its time is not over"
	case !v.tombstone:
		return "it is the latest of its key"
	}
	return ""
}

// rewritten judges the header of a batch that a round has written anew.
func (j *judge) rewritten(was, got record.Batch) error {
	if got.LastOffset() != was.LastOffset() || got.LeaderEpoch() != was.LeaderEpoch() || got.ProducerID() != was.ProducerID() ||
		got.ProducerEpoch() != was.ProducerEpoch() || got.BaseSequence() != was.BaseSequence() ||
		got.IsTransactional() != was.IsTransactional() || got.IsControl() != was.IsControl() {
		return fmt.Errorf("it became another one")
	}
	before, had := was.DeleteHorizon()
	now, has := got.DeleteHorizon()
	switch emptied := got.RecordCount() == 0; {
	case has && !had && now != min(j.r.rules.nowMs, math.MaxInt64-j.r.rules.deleteMs)+j.r.rules.deleteMs:
		return fmt.Errorf("its delete horizon is %d", now)
	case had && (has && now != before || !has && !emptied):
		return fmt.Errorf("its delete horizon was %d, now it is %d (%t)", before, now, has)
	case has == had && got.RecordCount() == was.RecordCount():
		return fmt.Errorf("it was written anew, and nothing was taken out of it (L4)")
	}
	return nil
}

// isClean: below an offset, which a round has reached, there is one record of each key, and nothing of an aborted transaction.
func (r *reference) isClean(rules *cleanRules, to model.Offset) error {
	if to > rules.limit {
		return fmt.Errorf("the limit was %d", rules.limit)
	}
	chain := r.chain[r.at(r.start):]
	if len(chain) == 0 {
		return nil
	}
	aborted := r.aborted(chain)
	there := make(map[string]model.Offset)
	for _, b := range r.present(chain) {
		if b.LastOffset() >= to {
			break
		}
		if b.IsControl() {
			continue
		}
		horizon, set := b.DeleteHorizon()
		for _, v := range r.records(b) {
			before, again := there[v.key]
			switch {
			case v.off < r.start:
				continue
			case aborted[b.BaseOffset()]:
				return fmt.Errorf("offset %d is there, of an aborted transaction", v.off)
			case v.keyless:
				return fmt.Errorf("offset %d is there, without a key", v.off)
			case again:
				return fmt.Errorf("offset %d is there, of the key of offset %d", before, v.off)
			case v.tombstone && set && horizon <= rules.nowMs && horizon != rules.nowMs+rules.deleteMs: // that is this round's own
				return fmt.Errorf("offset %d is there, a tombstone whose time is over", v.off)
			}
			there[v.key] = v.off
		}
	}
	return nil
}
