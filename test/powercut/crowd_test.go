package powercut

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/test/ledger"
)

// crowd is many idempotent producers of one partition, more than the partition's state of them fits into a segment's
// mark. Each batch is sent until it is acknowledged, and now and then once more: it must stand there once (T1).
type crowd struct {
	*topic
	id      id
	members []*member
	known   map[model.ProducerID]bool
}

// member is one producer and its last batch.
type member struct {
	next   record.Producer
	last   record.Producer
	values [][]byte
	offset int64
}

const mostMembers = 200

func (c *crowd) write(ctx context.Context, a asker, rng *rand.Rand) error {
	m, err := c.member(ctx, a, rng.IntN(mostMembers))
	if err != nil {
		return err
	}
	var numbers []uint64
	again := m.values != nil && rng.IntN(4) == 0
	if !again {
		m.last, m.values = m.next, nil
		for range 1 + rng.IntN(3) {
			number, value := c.Next()
			numbers, m.values = append(numbers, number), append(m.values, value)
		}
		m.next.Sequence += int32(len(m.values))
	}
	return until(ctx, func(int) error {
		offset, err := a.produce(ctx, c.id, 0, &m.last, m.values...)
		switch {
		case errors.Is(err, errUnsure):
			return err
		case err != nil:
			return fmt.Errorf("T1: producer %+v: %w", m.last, err)
		case again && offset != m.offset:
			return fmt.Errorf("T1: a batch that was acknowledged at %d is acknowledged at %d", m.offset, offset)
		}
		m.offset = offset
		for i, number := range numbers {
			c.Enter(ledger.Place{Partition: 0, Offset: offset + int64(i)}, number)
		}
		return nil
	})
}

// member returns the n-th producer, a new one if there are fewer. No two may get the same ID, whatever happens between.
func (c *crowd) member(ctx context.Context, a asker, n int) (*member, error) {
	if n < len(c.members) {
		return c.members[n], nil
	}
	p, err := a.newProducer(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for a producer ID: %w", err)
	}
	if c.known[p.ID] {
		return nil, fmt.Errorf("T1: producer ID %d was given out twice", p.ID)
	}
	c.known[p.ID] = true
	m := &member{next: p}
	c.members = append(c.members, m)
	return m, nil
}
