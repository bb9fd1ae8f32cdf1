package shard

import (
	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
	"chronik/internal/record"
)

// item is a record, or a marker.
type item struct {
	record   *schema.OffsetCommit // nil: a marker
	commit   bool
	producer Producer
}

func (x item) equal(o item) bool {
	return x.producer == o.producer && x.commit == o.commit && (x.record == nil) == (o.record == nil) &&
		(x.record == nil || x.record.Value.Offset == o.record.Value.Offset)
}

// batch is some of what the log holds.
func (w *world) batch(base model.Offset, items []item) record.Batch {
	p := items[0].producer
	if items[0].record == nil {
		b := record.EndTxn(items[0].marker())
		b.SetBaseOffset(base)
		return b
	}
	o := record.Options{BaseOffset: base}
	if p.ID != model.NoProducer {
		o.Producer, o.Transactional = &record.Producer{ID: p.ID, Epoch: p.Epoch, Sequence: record.NoSequence}, true
	}
	b := record.NewBuilder(o)
	for _, x := range items {
		key, value, err := schema.Encode(x.record)
		if err != nil {
			w.fail("%v", err)
		}
		b.Add(0, key, value)
	}
	out, err := b.Build()
	if err != nil {
		w.fail("%v", err)
	}
	return out
}

func (x item) marker() record.Marker {
	m := record.Marker{Producer: x.producer.ID, ProducerEpoch: x.producer.Epoch}
	if x.commit {
		m.Type = record.Commit
	}
	return m
}

// parse reads a batch. What is of a producer has one question's records.
func (w *world) parse(b record.Batch) (items []item) {
	p := noProducer
	if b.IsTransactional() {
		p = Producer{b.ProducerID(), b.ProducerEpoch()}
	}
	if b.IsControl() {
		m, err := record.ParseControl(b)
		if err != nil {
			w.fail("%v", err)
		}
		return []item{{commit: m.Type == record.Commit, producer: p}}
	}
	it := record.NewIterator(b.Records(), b.RecordCount())
	for r := (record.Record{}); it.Next(&r); {
		rec, err := schema.Groups.Decode(r.Key, r.Value)
		if err != nil {
			w.fail("%v", err)
		}
		items = append(items, item{record: rec.(*schema.OffsetCommit), producer: p})
	}
	for _, q := range w.asked {
		if !q.refused && b.IsTransactional() && q.first == model.Offset(len(w.log)) && len(q.records) > 0 && len(q.records) != len(items) {
			w.fail("question %d has %d records, the batch of producer %d has %d", q.number, len(q.records), p.ID, len(items))
		}
	}
	return items
}

// fold is what records lead to.
func fold(log []item) map[int32]cell {
	m := make(map[int32]cell)
	for off, x := range log {
		if x.record == nil {
			m[endedBy(x.producer.ID)] = cell{model.Offset(off), model.Offset(x.marker().Type), x.producer}
		} else {
			m[x.record.Key.Partition] = cell{model.Offset(off), x.record.Value.Offset, x.producer}
		}
	}
	return m
}
