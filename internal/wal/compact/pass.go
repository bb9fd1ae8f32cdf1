package compact

import (
	"chronik/internal/model"
	"chronik/internal/record"
)

// Producers is the producers' state as of the end of what is compacted.
type Producers interface {
	// Remembers tells whether a producer is known by the batch that ends at an offset, among its last ones.
	Remembers(p model.ProducerID, last model.Offset) bool
	// Knows tells whether a producer is known at all.
	Knows(p model.ProducerID) bool
}

// Rules is what a Pass decides by.
type Rules struct {
	Survey            *Survey
	Aborted           []Aborted // all that have a record in the log
	Producers         Producers
	NowMs             int64
	DeleteRetentionMs int64 // delete.retention.ms
}

// Pass decides what stays of a log, batch by batch from its first one on.
type Pass struct {
	rules Rules
	to    model.Offset
	txns  txns
	build record.Builder
	keep  []int // of the batch at hand: which of its records stay
}

// NewPass begins a pass at the log's first batch.
func NewPass(r Rules) *Pass { return &Pass{rules: r, to: r.Survey.To(), txns: newTxns(r.Aborted)} }

// Kept is what stays of a batch.
type Kept struct {
	Batch      record.Batch // nil: nothing. The batch itself if Same
	Same       bool
	Records    int  // that it held
	Removed    int  // of those
	Unreadable bool // its records could not be read, so that they were left alone
	Aborted    bool // it is the marker of an aborted transaction of which readers may still hold records
}

// Batch decides about the next batch. last says that it ends a segment. The batch is not changed; what stays of it is valid until it changes.
func (p *Pass) Batch(b record.Batch, last bool) (Kept, error) {
	if b.IsControl() {
		return p.control(b, last)
	}
	aborted := p.txns.data(b)
	k := Kept{Batch: b, Same: true, Records: int(b.RecordCount())}
	tombstones := false
	if p.keep = p.keep[:0]; aborted {
		k.Removed = k.Records
	} else {
		i := 0
		_, err := eachRecord(b, func(off model.Offset, r *record.Record) bool {
			if stays, tombstone := p.record(b, off, r); stays {
				p.keep = append(p.keep, i)
				tombstones = tombstones || tombstone
			}
			i++
			return true
		})
		if err != nil {
			k.Unreadable = true
			return k, nil
		}
		k.Removed = k.Records - len(p.keep)
	}
	stamp := tombstones && !b.HasDeleteHorizon()
	switch {
	case k.Removed == k.Records && !p.needed(b, last):
		k.Batch, k.Same = nil, false
		return k, nil
	case k.Removed == 0 && !stamp: // also if it was empty before
		return k, nil
	case k.Removed == k.Records:
		return p.emptied(b, k)
	}
	return p.rebuilt(b, k, stamp)
}

// needed tells whether a batch must stay even if it is empty.
func (p *Pass) needed(b record.Batch, last bool) bool {
	return last || b.HasProducer() && p.rules.Producers.Remembers(b.ProducerID(), b.LastOffset())
}

// record decides about one record, and tells whether it is a tombstone that needs a horizon.
func (p *Pass) record(b record.Batch, off model.Offset, r *record.Record) (stays, tombstone bool) {
	if off >= p.to {
		return true, false
	}
	if r.Key == nil || p.rules.Survey.keys.Superseded(r.Key, off) { // without a key it was written before the topic was compacted
		return false, false
	}
	if r.Value != nil {
		return true, false
	}
	horizon, set := b.DeleteHorizon()
	return !set || p.rules.NowMs < horizon, true
}

// control decides about a marker. Its record is never taken out of it: a marker is whole, or gone.
func (p *Pass) control(b record.Batch, last bool) (Kept, error) {
	k := Kept{Batch: b, Same: true, Records: int(b.RecordCount())}
	m, err := endOf(b)
	if err != nil {
		return k, nil // it ends nothing, and is nobody's
	}
	if !p.txns.marker(m.Producer) {
		k.Aborted = m.Type == record.Abort
		return k, nil
	}
	horizon, set := b.DeleteHorizon()
	if !set {
		p.keep = append(p.keep[:0], 0)
		return p.rebuilt(b, k, true)
	}
	if p.rules.NowMs < horizon || last || p.newest(m.Producer, b.BaseOffset()) {
		return k, nil
	}
	k.Batch, k.Same, k.Removed = nil, false, k.Records
	return k, nil
}

// newest tells whether a marker may be the last word on a producer's epoch, and its coordinator's.
func (p *Pass) newest(id model.ProducerID, off model.Offset) bool {
	return p.rules.Producers.Knows(id) && p.rules.Survey.markers[id] <= off
}

// options are the header fields of a batch that stay.
func options(b record.Batch) record.Options {
	o := record.Options{
		BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(), Transactional: b.IsTransactional(), Control: b.IsControl(),
		Producer: &record.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch(), Sequence: b.BaseSequence()},
	}
	if b.TimestampType() == record.LogAppendTime {
		ms := b.MaxTimestamp()
		o.LogAppendTimeMs = &ms
	}
	return o
}

// emptied is the header alone. It keeps the greatest timestamp of the records that it had: producers expire by it.
func (p *Pass) emptied(b record.Batch, k Kept) (Kept, error) {
	p.build.Reset(options(b))
	p.build.KeepThrough(b.LastOffset())
	out, err := p.build.Build()
	if err != nil {
		return Kept{}, err
	}
	out.SetMaxTimestamp(b.MaxTimestamp())
	k.Batch, k.Same = out, false
	return k, nil
}

// rebuilt is the batch with those of its records that stay. stamp gives it a delete horizon.
func (p *Pass) rebuilt(b record.Batch, k Kept, stamp bool) (Kept, error) {
	o := options(b)
	o.Codec = b.Codec()
	horizon, set := b.DeleteHorizon()
	if stamp {
		horizon, set = p.rules.NowMs+p.rules.DeleteRetentionMs, true
		if horizon < p.rules.NowMs { // the sum wrapped: never
			horizon = 1<<63 - 1
		}
	}
	if set {
		o.DeleteHorizonMs = &horizon
	}
	p.build.Reset(o)
	i, next := 0, 0
	_, err := eachRecord(b, func(off model.Offset, r *record.Record) bool {
		if next < len(p.keep) && p.keep[next] == i {
			p.build.AddAt(off, b.BaseTimestamp()+r.TimestampDelta, r.Key, r.Value, r.Headers.List()...)
			next++
		}
		i++
		return true
	})
	if err != nil {
		return Kept{}, err
	}
	p.build.KeepThrough(b.LastOffset())
	out, err := p.build.Build()
	if err != nil {
		return Kept{}, err
	}
	k.Batch, k.Same = out, false
	return k, nil
}
