package compaction

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// writer writes keys in a random order, and knows what was written last for each. Each key has its partition.
type writer struct {
	rng    *rand.Rand
	filler []byte
	latest []uint64 // by key: the number of the write; 0: none
	n      uint64
}

func newWriter(total int64) *writer {
	w := &writer{rng: rand.New(rand.NewPCG(1, 2)), filler: make([]byte, 1<<20), latest: make([]uint64, max(total/valueBytes/perKey, 100))}
	for i := range w.filler {
		w.filler[i] = byte(w.rng.Uint32())
	}
	return w
}

// tombstone tells whether a write deletes its key.
func tombstone(n uint64) bool { return n%13 == 7 }

// value is what a write of a key says: its number, and bytes that follow from both.
func (w *writer) value(key int, n uint64) []byte {
	if tombstone(n) {
		return nil
	}
	at := (uint64(key)*0x9e3779b9 + n*0x85ebca6b) % uint64(len(w.filler)-valueBytes)
	return append(binary.BigEndian.AppendUint64(nil, n), w.filler[at:at+valueBytes-8]...)
}

// write writes so many bytes, in as many pieces as next has room for: one at once, and one more for each token. A write counts when it is acknowledged; the client is idempotent, and tries until it is.
func (w *writer) write(ctx context.Context, cl *kgo.Client, total int64, next <-chan struct{}) error {
	var mu sync.Mutex
	var failed error
	writes := total / valueBytes
	for n := range writes {
		if n > 0 && n%max(writes/int64(cap(next)), 1) == 0 {
			select {
			case <-next:
			case <-ctx.Done():
			}
		}
		key := w.rng.IntN(len(w.latest))
		w.n++
		w.latest[key] = w.n
		r := &kgo.Record{Topic: topic, Partition: int32(key % partitions), Key: binary.BigEndian.AppendUint32(nil, uint32(key)), Value: w.value(key, w.n)}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// stored is one record that was read.
type stored struct {
	key   int
	bytes int64
}

// audit reads everything and holds it against what was written.
func (w *writer) audit(ctx context.Context, t *testing.T, addr string, segment int64) {
	t.Helper()
	got := make([]uint64, len(w.latest)) // the number of each key's last record; of a tombstone it is not known
	deleted := make([]bool, len(w.latest))
	all := 0
	for p, records := range w.read(ctx, t, addr, got, deleted) {
		all += len(records)
		if err := onlyLatest(records, segment); err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	wrong := 0
	for key, n := range w.latest {
		switch {
		case n == 0 && got[key] == 0 && !deleted[key], n > 0 && tombstone(n) && got[key] == 0, got[key] == n && !deleted[key]:
			continue
		}
		if wrong++; wrong <= 10 {
			t.Errorf("key %d: the last record is that of write %d (a tombstone: %t), want %d", key, got[key], deleted[key], n)
		}
	}
	t.Logf("%d writes of %d keys; %d records are left; %d keys are wrong", w.n, len(w.latest), all, wrong)
}

// read returns the records of each partition in offset order, and notes of each key which was the last.
func (w *writer) read(ctx context.Context, t *testing.T, addr string, got []uint64, deleted []bool) [partitions][]stored {
	t.Helper()
	ends, err := kadm.NewClient(connect(t, addr)).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	cl := connect(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var out [partitions][]stored
	for open := partitions; open > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading: %v", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			key := int(binary.BigEndian.Uint32(r.Key))
			out[r.Partition] = append(out[r.Partition], stored{key, int64(len(r.Key) + len(r.Value))})
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset == end.Offset-1 {
				open--
			}
			if deleted[key] = r.Value == nil; deleted[key] {
				got[key] = 0
				return
			}
			got[key] = binary.BigEndian.Uint64(r.Value)
			if !bytes.Equal(r.Value, w.value(key, got[key])) {
				t.Errorf("partition %d, offset %d: the value of key %d is not that of write %d", r.Partition, r.Offset, key, got[key])
			}
		})
	}
	return out
}

// onlyLatest: but for the last segment's worth of a partition, each record is the only one of its key that far.
func onlyLatest(records []stored, segment int64) error {
	var tail int64
	cleaned := len(records)
	for cleaned > 0 && tail <= segment+64<<10 {
		cleaned--
		tail += records[cleaned].bytes
	}
	seen := make(map[int]int)
	for i, r := range records[:cleaned] {
		if before, again := seen[r.key]; again {
			return fmt.Errorf("of %d records, %d and %d are of key %d, and only the last %d are not compacted", len(records), before, i, r.key, len(records)-cleaned)
		}
		seen[r.key] = i
	}
	if cleaned == 0 {
		return fmt.Errorf("%d records are no more than what is not compacted: nothing is shown", len(records))
	}
	return nil
}
