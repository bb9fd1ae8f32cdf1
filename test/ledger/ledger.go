package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Place is where the broker said that a record stands.
type Place struct {
	Partition int32
	Offset    int64
}

// Ledger is the promises about one topic.
type Ledger struct {
	topic   string
	payload func(number uint64) []byte

	mu     sync.Mutex
	sent   uint64           // numbers below it were given to the client
	acked  map[Place]uint64 // record number
	shown  map[Place]uint64 // to a consumer
	ends   map[int32]int64  // one past the last acknowledged offset
	trims  map[int32]trim
	wrong  []error            // promises that were seen broken on the way
	failed map[string]Refusal // by their text
	grew   chan struct{}      // closed and replaced when acked grows
}

// Refusal is why the client gave up on records, and how often. Whether they stand in the log is not known.
type Refusal struct {
	Err   error
	Times int
}

// trim is how far a partition's records were deleted: acknowledged to be, and asked to be at most.
type trim struct{ acked, asked int64 }

// New makes an empty ledger of a topic. payload returns the bytes of a record; they must begin with its number, in
// 8 bytes, big endian. nil stands for Payload.
func New(topic string, payload func(number uint64) []byte) *Ledger {
	if payload == nil {
		payload = Payload
	}
	return &Ledger{
		topic: topic, payload: payload,
		acked: make(map[Place]uint64), shown: make(map[Place]uint64), ends: make(map[int32]int64),
		trims: make(map[int32]trim), failed: make(map[string]Refusal), grew: make(chan struct{}),
	}
}

// Topic is the topic's name.
func (l *Ledger) Topic() string { return l.topic }

// Acked is how many acknowledgements there are.
func (l *Ledger) Acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// End is one past the last offset that was acknowledged in a partition.
func (l *Ledger) End(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[partition]
}

// Start is the highest low watermark that DeleteRecords acknowledged in a partition.
func (l *Ledger) Start(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trims[partition].acked
}

// Refused returns why, and how often, the client gave up on records.
func (l *Ledger) Refused() []Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.failed))
}

// Next takes the next record number and returns it with its bytes.
func (l *Ledger) Next() (uint64, []byte) {
	l.mu.Lock()
	number := l.sent
	l.sent++
	l.mu.Unlock()
	return number, l.payload(number)
}

// Enter notes that a record was acknowledged at a place.
func (l *Ledger) Enter(p Place, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, taken := l.acked[p]; taken && other != number {
		l.wrong = append(l.wrong, fmt.Errorf("twice: records %d and %d were both acknowledged at %+v", other, number, p))
	}
	l.acked[p] = number
	l.ends[p.Partition] = max(l.ends[p.Partition], p.Offset+1)
	close(l.grew)
	l.grew = make(chan struct{})
}

// Show notes what a consumer was given. What was visible once was durable, and stays (R5).
func (l *Ledger) Show(p Place, value []byte) {
	number, err := l.check(p, value)
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, again := l.shown[p]; err == nil && again && before != number {
		err = fmt.Errorf("changed: a consumer was shown record %d and later %d at %+v", before, number, p)
	}
	if err != nil {
		l.wrong = append(l.wrong, err)
		return
	}
	l.shown[p] = number
}

// Trim notes that the records below an offset are about to be asked to be deleted: from now on they may be gone.
func (l *Ledger) Trim(partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trims[partition]
	t.asked = max(t.asked, offset)
	l.trims[partition] = t
}

// Trimmed notes the low watermark that DeleteRecords acknowledged: below it nothing may come back.
func (l *Ledger) Trimmed(partition int32, low int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trims[partition]
	t.acked = max(t.acked, low)
	l.trims[partition] = t
}

// Await returns when n more records than now are acknowledged.
func (l *Ledger) Await(ctx context.Context, n int) error {
	l.mu.Lock()
	have, grew := len(l.acked), l.grew
	l.mu.Unlock()
	want := have + n
	for have < want {
		select {
		case <-grew:
		case <-ctx.Done():
			return fmt.Errorf("%s: only %d of %d acknowledgements came: %w", l.topic, have, want, context.Cause(ctx))
		}
		l.mu.Lock()
		have, grew = len(l.acked), l.grew
		l.mu.Unlock()
	}
	return nil
}

// Produce sends records, at most window unanswered, until ctx ends, and enters the acknowledged ones. Those
// unanswered at the end are not given up: flush the client to wait for them.
func (l *Ledger) Produce(ctx context.Context, cl *kgo.Client, window int) {
	slots := make(chan struct{}, window)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		number, value := l.Next()
		cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: l.topic, Value: value}, func(r *kgo.Record, err error) {
			if err == nil {
				l.Enter(Place{r.Partition, r.Offset}, number)
			} else {
				l.refuse(err)
			}
			<-slots
		})
	}
}

func (l *Ledger) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[err.Error()] = Refusal{Err: err, Times: l.failed[err.Error()].Times + 1}
}

// check tells which record a value is, and whether it is whole and was ever sent.
func (l *Ledger) check(p Place, value []byte) (uint64, error) {
	if len(value) < 8 {
		return 0, fmt.Errorf("changed: %d bytes at %+v are no record of %s", len(value), p, l.topic)
	}
	number := binary.BigEndian.Uint64(value)
	l.mu.Lock()
	sent := l.sent
	l.mu.Unlock()
	if number >= sent {
		return 0, fmt.Errorf("invented: record %d at %+v was never sent, only %d were", number, p, sent)
	}
	if string(value) != string(l.payload(number)) {
		return 0, fmt.Errorf("changed: record %d at %+v has other bytes", number, p)
	}
	return number, nil
}
