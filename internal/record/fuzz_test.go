package record

import (
	"bytes"
	"errors"
	"testing"

	"chronik/internal/record/compress"
)

// FuzzRecordBatch: any bytes are cut into batches or refused; what passes the check can be asked anything, stamped and
// checked again.
func FuzzRecordBatch(f *testing.F) {
	for c := compress.None; c.Valid(); c++ {
		f.Add(golden(f, c.String()))
	}
	f.Add(golden(f, "abort"))
	f.Add([]byte(sample(f, 2, Options{})))
	f.Add([]byte(append(sample(f, 1, idempotent(5)), sample(f, 1, Options{Codec: compress.Snappy})...)))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		for rest := bytes.Clone(data); ; {
			b, next, err := Next(rest)
			if err != nil {
				if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrMagic) && !errors.Is(err, ErrSize) {
					t.Fatalf("untyped error %v", err)
				}
				return
			}
			if len(b)+len(next) != len(rest) || b.Size() != len(b) {
				t.Fatalf("%d bytes are cut into %d and %d", len(rest), len(b), len(next))
			}
			b.updateCRC() // or the fuzzer never gets past it
			inspect(t, b)
			rest = next
		}
	})
}

func inspect(t *testing.T, b Batch) {
	if client, stored := b.CheckClient(), b.Check(); client == nil && stored != nil {
		t.Fatalf("fit for clients, unfit for the log: %v", stored)
	} else if stored != nil {
		return
	} else if client == nil && (b.LastOffsetDelta() < 0 || b.HasProducer() && b.LastSequence() < 0) {
		t.Fatalf("last offset delta %d, last sequence %d", b.LastOffsetDelta(), b.LastSequence())
	}
	if m, err := ParseControl(b); err == nil && !b.IsControl() {
		t.Fatalf("a batch of data is the marker %+v", m)
	}
	b.SetBaseOffset(7)
	b.SetLeaderEpoch(8)
	b.SetMaxTimestamp(10)
	b.SetMaxTimestampLogAppend(9)
	if err := b.Check(); err != nil || b.BaseOffset() != 7 || b.LeaderEpoch() != 8 || b.MaxTimestamp() != 9 {
		t.Fatalf("stamped: %v", err)
	}
	data, err := compress.Decompress(nil, b.Records(), b.Codec(), 1<<20)
	if err == nil {
		_ = ValidateRecords(data, b.RecordCount(), nil)
	}
}

// FuzzRecords: any bytes are records or refused; what is accepted is rebuilt to records that read the same.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(likeGolden(f, compress.None).Records()), int32(200))
	f.Add([]byte(sample(f, 3, Options{}).Records()), int32(3))
	f.Add(one, int32(1))
	f.Add([]byte{}, int32(0))
	f.Fuzz(func(t *testing.T, data []byte, count int32) {
		w := NewBuilder(Options{})
		err := ValidateRecords(data, count, func(i int, r Record) error {
			var headers []Header
			for k, v := range r.Headers.All() {
				headers = append(headers, Header{Key: string(k), Value: v})
			}
			if len(headers) != r.Headers.Len() {
				t.Fatalf("record %d has %d headers, %d are read", i, r.Headers.Len(), len(headers))
			}
			w.Add(r.TimestampDelta, r.Key, r.Value, headers...)
			return nil
		})
		var re *RecordError
		if err != nil {
			if !errors.As(err, &re) || !errors.Is(err, ErrRecord) || re.Index < 0 || re.Index > int(max(count, 0)) {
				t.Fatalf("%v is not an error of a record", err)
			}
			return
		}
		if w.Len() == 0 {
			return
		}
		b, err := w.Build()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.CheckClient(); err != nil {
			t.Fatal(err)
		}
		if err := ValidateRecords(b.Records(), count, nil); err != nil {
			t.Fatalf("rebuilt: %v", err)
		}
	})
}
