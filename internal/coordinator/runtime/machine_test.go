package runtime

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// tally is a machine that counts, by name.
type tally struct {
	log    timeline.Log
	counts *timeline.Map[string, model.Offset]
	last   map[string]model.Offset // the record that a count was written by
	loaded *image.Image
	images []uint64 // indices of those that it was told of
	turned int      // how often it was configured
	rang   []time.Time
	ended  bool
}

func newTally() *tally {
	m := &tally{last: make(map[string]model.Offset)}
	m.counts = timeline.NewMap[string, model.Offset](&m.log)
	return m
}

func (m *tally) Apply(off model.Offset, e shard.Entry) error {
	r := e.Record.(*schema.OffsetCommit)
	m.counts.Put(off, r.Key.Group, r.Value.Offset)
	m.last[r.Key.Group] = off
	return nil
}

func (m *tally) Settle(w model.Offset)    { m.log.Settle(w) }
func (m *tally) Revert(from model.Offset) { m.log.Revert(from) }
func (m *tally) End()                     { m.ended = true }

func (m *tally) Loaded(_ time.Time, im *image.Image) shard.Result {
	m.loaded = im
	return shard.Result{Sees: model.NoOffset}
}

func (m *tally) OnTimer(now time.Time, _ shard.TimerKey) shard.Result {
	m.rang = append(m.rang, now)
	return shard.Result{Sees: model.NoOffset}
}

func (m *tally) OnImage(_ time.Time, im *image.Image, _ *image.Delta) shard.Result {
	m.images = append(m.images, im.Index())
	return shard.Result{Sees: model.NoOffset}
}

// add counts one more; done hears what it has come to.
func (m *tally) add(name string, done func(model.Offset, error)) shard.Result {
	n, _ := m.counts.Get(name)
	n++
	r := &schema.OffsetCommit{Key: schema.OffsetKey{Group: name, Topic: "t"}, Value: &schema.Offset{Offset: n, ExpireTimestamp: schema.NoTime}}
	return shard.Result{Records: []schema.Record{r}, Sees: model.NoOffset, Reply: func(err error) { done(n, err) }}
}

// read is what is settled.
func (m *tally) read(name string, done func(model.Offset, error)) shard.Result {
	n, _ := m.counts.Settled(name)
	return shard.Result{Sees: model.NoOffset, Reply: func(err error) { done(n, err) }}
}

// content is all that is settled, as text would be too long.
func (m *tally) content() map[string]model.Offset { return maps.Collect(m.counts.AllSettled()) }

func (m *tally) names() []string { return slices.Sorted(maps.Keys(m.content())) }
