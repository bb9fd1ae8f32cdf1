package powercut

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/model"
	"chronik/test/ledger"
)

// owner is somebody who owns topics and meddles with them all the time: creates, deletes and creates them again under the
// same name, adds partitions, deletes records, changes configurations. It does one thing after the other and stays with
// each until its outcome is known, so that it always knows what must be there.
type owner struct {
	asker
	rng     *rand.Rand
	trimmed *topic // whose records it deletes, and the crowd's
	crowd   crowd
	topics  [2]incarnation
	gone    map[id]bool     // IDs of topics acknowledged to be deleted
	configs map[setting]int // acknowledged
}

// incarnation is a topic of one name, as long as it has one ID. Its records begin with a number that only it uses.
type incarnation struct {
	*ledger.Ledger // nil: there is none
	id             id
	partitions     int32
	haunted        func() error // ends the writing to the incarnation before this one; nil: nobody does
}

// setting is a key of a topic, or of all brokers.
type setting struct{ topic, key string }

func newOwner(a asker, seed uint64, topics []*topic) *owner {
	o := &owner{
		asker: a, rng: rand.New(rand.NewPCG(seed, 0x6f776e6572)),
		gone: make(map[id]bool), configs: make(map[setting]int),
	}
	for _, t := range topics {
		switch t.Topic() {
		case "trimmed":
			o.trimmed = t
		case "crowded":
			o.crowd = crowd{topic: t, known: make(map[model.ProducerID]bool)}
		}
	}
	return o
}

// run meddles until ctx ends, and finishes by give what it is at then.
func (o *owner) run(ctx, give context.Context) error {
	var err error
	for ctx.Err() == nil && err == nil {
		err = o.step(give)
	}
	for i := range o.topics {
		err = errors.Join(err, o.topics[i].exorcise())
	}
	return err
}

func (o *owner) step(ctx context.Context) error {
	switch n := o.rng.IntN(len(o.topics)); o.rng.IntN(8) {
	case 0:
		return o.trim(ctx)
	case 1:
		return o.change(ctx)
	case 2, 3:
		for range 1 + o.rng.IntN(8) {
			if err := o.crowd.write(ctx, o.asker, o.rng); err != nil {
				return err
			}
		}
		return nil
	default:
		t := &o.topics[n]
		switch {
		case t.Ledger == nil:
			return o.bear(ctx, t, "churn-"+strconv.Itoa(n))
		case o.rng.IntN(3) == 0:
			return o.bury(ctx, t)
		case o.rng.IntN(8) == 0:
			t.partitions++
			return o.addPartitions(ctx, t.Topic(), t.partitions)
		default:
			return o.write(ctx, t)
		}
	}
}

// bear creates a topic. It must be a new one, and empty (L5).
func (o *owner) bear(ctx context.Context, t *incarnation, name string) error {
	partitions := int32(1 + o.rng.IntN(3))
	created, err := o.createTopic(ctx, name, partitions, map[string]string{"segment.ms": strconv.Itoa(5 + o.rng.IntN(50))})
	if err != nil {
		return err
	}
	if o.gone[created] {
		return fmt.Errorf("L5: %s was created with the ID of a topic that was deleted", name)
	}
	err = t.exorcise()
	*t = incarnation{Ledger: ledger.New(name, payloadOf(created)), id: created, partitions: partitions}
	if err != nil {
		return err
	}
	for partition := range partitions {
		if err := o.empty(ctx, t, partition); err != nil {
			return err
		}
	}
	return nil
}

func (o *owner) empty(ctx context.Context, t *incarnation, partition int32) error {
	for _, which := range []int64{earliest, latest} {
		err := until(ctx, func(int) error {
			at, err := o.offset(ctx, t.Topic(), partition, which)
			if err == nil && at != 0 {
				return fmt.Errorf("L5: %s-%d was just created, and offset %d is there", t.Topic(), partition, at)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// payloadOf makes records that tell of which incarnation they are.
func payloadOf(owner id) func(uint64) []byte {
	return func(number uint64) []byte {
		b := ledger.Bytes(number^binary.BigEndian.Uint64(owner[:]), 200)
		binary.BigEndian.PutUint64(b, number)
		return append(b, owner[:]...)
	}
}

// bury deletes a topic while somebody writes to it, and goes on to. Once the deletion is acknowledged nothing reaches
// the topic any more, nor the next one of its name.
func (o *owner) bury(ctx context.Context, t *incarnation) error {
	name, buried := t.Topic(), t.id
	writing, stop := context.WithCancel(ctx)
	var deleted atomic.Bool
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		for writing.Err() == nil && err == nil {
			late := deleted.Load()
			if _, e := o.produce(writing, buried, 0, nil, []byte("a record of a deleted topic")); late && e == nil {
				err = fmt.Errorf("L5: a record was acknowledged to %s after its deletion was", name)
			} else if late && !errors.Is(e, errUnsure) && !errors.Is(e, kerr.UnknownTopicID) {
				err = fmt.Errorf("producing to a deleted topic: %w, want UNKNOWN_TOPIC_ID", e)
			}
		}
	})
	haunted := func() error {
		stop()
		wg.Wait()
		return err
	}
	if err := o.deleteTopic(ctx, name); err != nil {
		return errors.Join(err, haunted())
	}
	deleted.Store(true)
	o.gone[buried] = true
	*t = incarnation{haunted: haunted}
	return nil
}

// exorcise ends the writing to a deleted topic, and returns what was wrong with it.
func (t *incarnation) exorcise() error {
	haunted := t.haunted
	t.haunted = nil
	if haunted == nil {
		return nil
	}
	return haunted()
}

// write produces a few records. One whose outcome is not known is sent again: it may stand there twice.
func (o *owner) write(ctx context.Context, t *incarnation) error {
	for range 1 + o.rng.IntN(4) {
		number, value := t.Next()
		partition := o.rng.Int32N(t.partitions)
		err := until(ctx, func(int) error {
			offset, err := o.produce(ctx, t.id, partition, nil, value)
			if err == nil {
				t.Enter(ledger.Place{Partition: partition, Offset: offset}, number)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("writing to %s: %w", t.Topic(), err)
		}
	}
	return nil
}

// trim deletes records of a topic that is written to all the time, below some acknowledged offset.
func (o *owner) trim(ctx context.Context) error {
	t := []*topic{o.trimmed, o.crowd.topic}[o.rng.IntN(2)]
	partition := o.rng.Int32N(t.partitions)
	end := t.End(partition)
	before := end - o.rng.Int64N(end/4+1)
	t.Trim(partition, before)
	err := until(ctx, func(int) error {
		low, err := o.deleteRecords(ctx, t.Topic(), partition, before)
		if err == nil && low < before {
			return fmt.Errorf("the low watermark is %d, deleted were the records below %d", low, before)
		}
		if err == nil {
			t.Trimmed(partition, low)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting the records of %s-%d before %d: %w", t.Topic(), partition, before, err)
	}
	return nil
}

// change sets a configuration of a topic or of all brokers.
func (o *owner) change(ctx context.Context) error {
	c := []setting{{"ordered", "index.interval.bytes"}, {"plain", "max.message.bytes"}, {"", "log.cleaner.backoff.ms"}}[o.rng.IntN(3)]
	value := 2<<20 + o.rng.IntN(1000)
	if c.key == "index.interval.bytes" {
		value = o.rng.IntN(5000)
	}
	if err := o.configure(ctx, c.topic, c.key, value); err != nil {
		return err
	}
	o.configs[c] = value
	return nil
}
