package record

import (
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record/compress"
)

// fixed applies change and makes the CRC right again, so that only what was changed is wrong.
func fixed(b Batch, change func(Batch)) Batch {
	change(b)
	b.updateCRC()
	return b
}

func TestCheckFindsEveryFlippedBit(t *testing.T) {
	b := sample(t, 2, idempotent(0))
	for i := posMagic; i < len(b); i++ { // base offset and epoch are the log's to stamp, the length is Next's
		for bit := range 8 {
			b[i] ^= 1 << bit
			if err := b.Check(); err == nil {
				t.Fatalf("byte %d bit %d flipped: Check passed", i, bit)
			}
			b[i] ^= 1 << bit
		}
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckClientRefuses(t *testing.T) {
	set := func(at int, v ...byte) func(Batch) { return func(b Batch) { copy(b[at:], v) } }
	for _, c := range []struct {
		name   string
		change func(Batch)
		want   error
		stored bool // Check accepts it: brokers may store such a batch
	}{
		{"no records", set(posLastOffsetDelta, 0, 0, 0, 0, 0), ErrCount, false},
		{"fewer records than offsets", set(posLastOffsetDelta+3, 2), ErrCount, true},
		{"negative last offset delta", set(posLastOffsetDelta, 0xff), ErrCount, false},
		{"negative record count", set(posRecordCount, 0xff), ErrCount, false},
		{"codec 5", set(posAttributes+1, 5), ErrCodec, false},
		{"codec 7", set(posAttributes+1, 7), ErrCodec, false},
		{"control", set(posAttributes+1, attrControl), ErrControl, true},
		{"delete horizon", set(posAttributes+1, attrDeleteHorizon), ErrControl, true},
		{"log append time", set(posAttributes+1, attrLogAppendTime), ErrTimestampType, true},
		{"producer ID -2", func(b Batch) { b.setProducer(Producer{ID: -2}) }, ErrProducer, true},
		{"producer without epoch", func(b Batch) { b.setProducer(Producer{ID: 1, Epoch: -1}) }, ErrProducer, true},
		{"producer without sequence", func(b Batch) { b.setProducer(Producer{ID: 1, Sequence: -1}) }, ErrProducer, true},
		{"transactional without producer", func(b Batch) { b.setProducer(noProducer) }, ErrProducer, true},
	} {
		b := fixed(sample(t, 2, idempotent(0)), c.change)
		if err := b.CheckClient(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err := b.Check(); (err == nil) != c.stored {
			t.Errorf("Check, %s: %v", c.name, err)
		}
	}
}

func TestCheckRefusesBytesBehindTheBatch(t *testing.T) {
	b := append(sample(t, 1, Options{}), 0)
	if err := b.Check(); !errors.Is(err, ErrSize) {
		t.Errorf("%v, want ErrSize", err)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	b := sample(t, 10, idempotent(0))
	allocs := testing.AllocsPerRun(100, func() {
		n, _, err := Next(b)
		if err != nil || n.CheckClient() != nil {
			t.Fatal(err)
		}
		n.SetBaseOffset(model.Offset(n.LastSequence()))
		n.SetLeaderEpoch(1)
		n.SetMaxTimestamp(n.MaxTimestamp() + 1)
		if err := ValidateRecords(n.Records(), n.RecordCount(), nil); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func BenchmarkCheckClient(b *testing.B) {
	for name, n := range map[string]int{"1x100B": 1, "100x100B": 100} {
		b.Run(name, func(b *testing.B) {
			batch := sample(b, n, Options{})
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if err := batch.CheckClient(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	batch := sample(b, 1, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Next(batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStamp(b *testing.B) {
	batch := sample(b, 1, Options{})
	b.ReportAllocs()
	for b.Loop() {
		batch.SetBaseOffset(5)
		batch.SetLeaderEpoch(1)
	}
}

func BenchmarkValidateRecords(b *testing.B) {
	batch := sample(b, 100, Options{})
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ValidateRecords(batch.Records(), batch.RecordCount(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for c := compress.None; c.Valid(); c++ {
		b.Run(c.String(), func(b *testing.B) {
			w := NewBuilder(Options{})
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(Options{Codec: c})
				for range 100 {
					w.Add(1000, []byte("key"), []byte("some value of some bytes"))
				}
				var err error
				if dst, err = w.AppendTo(dst[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
