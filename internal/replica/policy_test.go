package replica

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"chronik/internal/record"
	"chronik/internal/record/compress"
)

const now = int64(1_700_000_000_000)

func policy() Policy {
	return Policy{MaxMessageBytes: 1 << 20, SegmentBytes: 1 << 30, Deletes: true, BeforeMaxMs: math.MaxInt64, AfterMaxMs: 3_600_000}
}

func batch(t testing.TB, o record.Options, timestamps ...int64) record.Batch {
	t.Helper()
	w := record.NewBuilder(o)
	for _, ts := range timestamps {
		w.Add(ts, []byte("key"), []byte("value"))
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// miscast is a batch that claims a codec, and whose records are something else.
func miscast(t testing.TB, c compress.Codec) record.Batch {
	b := batch(t, record.Options{Codec: c}, now)
	for i := range b.Records() {
		b.Records()[i] = byte('a' + i%26)
	}
	b.SetProducer(record.Producer{ID: -1, Epoch: -1, Sequence: -1}) // and the checksum
	return b
}

// TestL4Verbatim: what a producer sent is stored as it is, whatever the codec, where no setting says otherwise.
func TestL4Verbatim(t *testing.T) {
	for c := compress.None; c <= compress.Zstd; c++ {
		sent := batch(t, record.Options{Codec: c}, now, now+1)
		kept := slices.Clone(sent)
		p := policy()
		got, err := p.Admit(sent, now)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if !bytes.Equal(got, kept) {
			t.Errorf("%v: the stored bytes differ from those that were sent", c)
		}
	}
}

func TestAdmitRefuses(t *testing.T) {
	good := batch(t, record.Options{}, now)
	noKey := record.NewBuilder(record.Options{})
	noKey.Add(now, nil, []byte("value"))
	keyless, err := noKey.Build()
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(good)
	damaged[len(damaged)-1] ^= 1
	for _, tc := range []struct {
		name    string
		change  func(*Policy)
		records []byte
		want    error
	}{
		{"nothing", nil, nil, ErrOneBatch},
		{"two batches", nil, append(slices.Clone(good), good...), ErrOneBatch},
		{"damaged", nil, damaged, record.ErrCRC},
		{"cut off", nil, good[:len(good)-1], record.ErrTruncated},
		{"too large", func(p *Policy) { p.MaxMessageBytes = len(good) - 1 }, good, ErrTooLarge},
		{"larger than a segment", func(p *Policy) { p.SegmentBytes = int64(len(good) - 1) }, good, ErrLargerThanSegment},
		{"no key in a compacted topic", func(p *Policy) { p.Compacted = true }, keyless, ErrNoKey},
		{"from the future", nil, batch(t, record.Options{}, now, now+3_600_001), ErrTimestamp},
		{"from the future, compressed", nil, batch(t, record.Options{Codec: compress.Gzip}, now+3_600_001), ErrTimestamp},
		{"from the past", func(p *Policy) { p.BeforeMaxMs = 1000 }, batch(t, record.Options{Codec: compress.LZ4}, now-1001), ErrTimestamp},
		{"a gzip batch that is none", nil, miscast(t, compress.Gzip), ErrCompressed},
		{"a snappy batch that is none", nil, miscast(t, compress.Snappy), ErrCompressed},
		{"an LZ4 batch that is none", nil, miscast(t, compress.LZ4), ErrCompressed},
		{"a Zstandard batch that is none", nil, miscast(t, compress.Zstd), ErrCompressed},
		{"a control batch", nil, batch(t, record.Options{Control: true}, now), record.ErrControl},
	} {
		p := policy()
		if tc.change != nil {
			tc.change(&p)
		}
		if b, err := p.Admit(slices.Clone(tc.records), now); !errors.Is(err, tc.want) {
			t.Errorf("%s: Admit = %v, %v; want %v", tc.name, b, err, tc.want)
		}
	}
}

func TestAdmitNamesTheRecordAtFault(t *testing.T) {
	p := policy()
	_, err := p.Admit(batch(t, record.Options{}, now, now, now+4_000_000), now)
	bad := new(record.RecordError)
	if !errors.As(err, &bad) || bad.Index != 2 {
		t.Fatalf("Admit = %v, want a RecordError for record 2", err)
	}
}

func TestAdmitStampsLogAppendTime(t *testing.T) {
	p := policy()
	p.LogAppendTime = true
	got, err := p.Admit(batch(t, record.Options{}, 5, 6), now)
	if err != nil {
		t.Fatal(err)
	}
	if got.TimestampType() != record.LogAppendTime || got.MaxTimestamp() != now {
		t.Errorf("timestamp type %v, maximum %d; want LogAppendTime and %d", got.TimestampType(), got.MaxTimestamp(), now)
	}
	if err := got.Check(); err != nil {
		t.Errorf("after stamping: %v", err)
	}
}

func TestAdmitRecompresses(t *testing.T) {
	p := policy()
	p.Recompress, p.Codec = true, compress.Zstd
	producer := &record.Producer{ID: 7, Epoch: 3, Sequence: 41}
	sent := batch(t, record.Options{Codec: compress.Gzip, Producer: producer}, now, now+5)
	got, err := p.Admit(slices.Clone(sent), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.CheckClient(); err != nil {
		t.Fatal(err)
	}
	if got.Codec() != compress.Zstd || got.ProducerID() != 7 || got.ProducerEpoch() != 3 || got.BaseSequence() != 41 ||
		got.RecordCount() != 2 || got.MaxTimestamp() != now+5 || got.BaseTimestamp() != now {
		t.Errorf("recompressed batch has codec %v, producer %d/%d/%d, %d records", got.Codec(), got.ProducerID(), got.ProducerEpoch(), got.BaseSequence(), got.RecordCount())
	}
	again, err := p.Admit(slices.Clone(got), now)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("a batch that has the codec already was changed (%v)", err)
	}
}
