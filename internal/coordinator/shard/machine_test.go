package shard

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// cells is the smallest machine: committed offsets by partition, each with the record that it is from, and markers by producer.
type cells struct {
	log     timeline.Log
	values  *timeline.Map[int32, cell]
	loaded  Result
	fired   []string
	images  int
	onTimer func(now time.Time, k TimerKey) Result
	ended   bool
	waiters []func(error) // answered by End
}

type cell struct {
	offset   model.Offset // of the record
	value    model.Offset // or of a marker its type
	producer Producer
}

// endedBy is the cell of a producer's marker.
func endedBy(p model.ProducerID) int32 { return 1000 + int32(p) }

var noProducer = Producer{ID: model.NoProducer}

var errPoison = errors.New("poison")

// poison is a value that cannot be applied.
const poison model.Offset = 666

func newCells() *cells {
	c := &cells{loaded: Result{Sees: model.NoOffset}}
	c.values = timeline.NewMap[int32, cell](&c.log)
	return c
}

func (c *cells) Apply(off model.Offset, e Entry) error {
	p := Producer{e.Producer, e.Epoch}
	if m := e.Marker; m != nil {
		c.values.Put(off, endedBy(m.Producer), cell{off, model.Offset(m.Type), p})
		return nil
	}
	r := e.Record.(*schema.OffsetCommit)
	if r.Value == nil {
		c.values.Delete(off, r.Key.Partition)
		return nil
	}
	if r.Value.Offset == poison {
		return errPoison
	}
	c.values.Put(off, r.Key.Partition, cell{off, r.Value.Offset, p})
	return nil
}

func (c *cells) Settle(w model.Offset)    { c.log.Settle(w) }
func (c *cells) Revert(from model.Offset) { c.log.Revert(from) }

func (c *cells) Loaded(time.Time, *image.Image) Result { return c.loaded }

func (c *cells) OnTimer(now time.Time, k TimerKey) Result {
	c.fired = append(c.fired, fmt.Sprintf("%d%s", k.Kind, k.Group))
	if c.onTimer != nil {
		return c.onTimer(now, k)
	}
	return Result{Sees: model.NoOffset}
}

func (c *cells) OnImage(time.Time, *image.Image, *image.Delta) Result {
	c.images++
	return Result{Records: []schema.Record{put(1, -1)}, Sees: model.NoOffset}
}

func (c *cells) End() {
	c.ended = true
	for _, f := range c.waiters {
		f(ErrNotCoordinator)
	}
}

// put is a record; a negative value deletes.
func put(partition int32, value model.Offset) *schema.OffsetCommit {
	r := &schema.OffsetCommit{Key: schema.OffsetKey{Group: "g", Topic: "t", Partition: partition}}
	if value >= 0 {
		r.Value = &schema.Offset{Offset: value, ExpireTimestamp: schema.NoTime}
	}
	return r
}

// newest and settled are what the machine holds.
func (c *cells) newest() map[int32]cell { return maps.Collect(c.values.All()) }

func (c *cells) settled() map[int32]cell { return maps.Collect(c.values.AllSettled()) }
