package record

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record/compress"
)

// sample is a client's batch of n records.
func sample(t testing.TB, n int, o Options) Batch {
	t.Helper()
	w := NewBuilder(o)
	for i := range n {
		w.Add(1000+int64(i), []byte("key"), bytes.Repeat([]byte{'v'}, 100), Header{Key: "h", Value: []byte{byte(i)}})
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func idempotent(seq int32) Options {
	return Options{BaseOffset: 7, LeaderEpoch: 3, Producer: &Producer{ID: 9, Epoch: 2, Sequence: seq}, Transactional: true}
}

func TestAccessors(t *testing.T) {
	b := sample(t, 5, idempotent(math.MaxInt32-1))
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"BaseOffset", int64(b.BaseOffset()), 7},
		{"Size", int64(b.Size()), int64(len(b))},
		{"LeaderEpoch", int64(b.LeaderEpoch()), 3},
		{"Magic", int64(b.Magic()), 2},
		{"CRC", int64(b.CRC()), int64(b.ComputeCRC())},
		{"LastOffsetDelta", int64(b.LastOffsetDelta()), 4},
		{"LastOffset", int64(b.LastOffset()), 11},
		{"BaseTimestamp", b.BaseTimestamp(), 1000},
		{"MaxTimestamp", b.MaxTimestamp(), 1004},
		{"ProducerID", int64(b.ProducerID()), 9},
		{"ProducerEpoch", int64(b.ProducerEpoch()), 2},
		{"BaseSequence", int64(b.BaseSequence()), math.MaxInt32 - 1},
		{"LastSequence", int64(b.LastSequence()), 2}, // it wraps
		{"RecordCount", int64(b.RecordCount()), 5},
		{"Records", int64(len(b.Records())), int64(len(b) - HeaderSize)},
		{"Codec", int64(b.Codec()), int64(compress.None)},
		{"TimestampType", int64(b.TimestampType()), int64(CreateTime)},
	} {
		if c.got != c.want {
			t.Errorf("%s = %d, want %d", c.what, c.got, c.want)
		}
	}
	if !b.IsTransactional() || b.IsControl() || b.HasDeleteHorizon() || !b.HasProducer() {
		t.Errorf("wrong attribute bits %x", b.Attributes())
	}
	if err := b.CheckClient(); err != nil {
		t.Error(err)
	}
}

func TestNextCutsBatchesInOrder(t *testing.T) {
	one, two := sample(t, 1, Options{}), sample(t, 3, Options{Codec: compress.LZ4})
	buf := append(bytes.Clone(one), two...)
	a, rest, err := Next(buf)
	if err != nil || !bytes.Equal(a, one) || cap(a) != len(a) {
		t.Fatalf("first: %v, capacity %d of %d", err, cap(a), len(a))
	}
	b, rest, err := Next(rest)
	if err != nil || !bytes.Equal(b, two) || len(rest) != 0 {
		t.Fatalf("second: %v, %d bytes left", err, len(rest))
	}
	for n := range len(one) {
		if b, rest, err := Next(one[:n]); !errors.Is(err, ErrTruncated) || b != nil || len(rest) != n {
			t.Fatalf("%d of %d bytes: %v, want ErrTruncated", n, len(one), err)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b Batch)
		want   error
	}{
		{"zeroed space", func(b Batch) { clear(b) }, ErrSize},
		{"negative length", func(b Batch) { b[posLength] = 0xff }, ErrSize},
		{"shorter than a header", func(b Batch) { copy(b[posLength:], []byte{0, 0, 0, 48}) }, ErrSize},
		{"length that overflows with its overhead", func(b Batch) { copy(b[posLength:], []byte{0x7f, 0xff, 0xff, 0xff}) }, ErrSize},
		{"longer than what is there", func(b Batch) { b[posLength] = 1 }, ErrTruncated},
		{"magic 0", func(b Batch) { b[posMagic] = 0 }, ErrMagic},
		{"magic 1", func(b Batch) { b[posMagic] = 1 }, ErrMagic},
		{"magic 3", func(b Batch) { b[posMagic] = 3 }, ErrMagic},
	} {
		b := sample(t, 1, Options{})
		c.change(b)
		if _, _, err := Next(b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err := b.Check(); !errors.Is(err, c.want) {
			t.Errorf("Check, %s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSettersThatKeepTheCRC(t *testing.T) {
	b := sample(t, 2, Options{})
	crc := b.CRC()
	b.SetBaseOffset(1 << 40)
	b.SetLeaderEpoch(77)
	if b.BaseOffset() != 1<<40 || b.LastOffset() != 1<<40+1 || b.LeaderEpoch() != 77 {
		t.Error("not stamped")
	}
	if err := b.Check(); err != nil || b.CRC() != crc {
		t.Errorf("%v, CRC %x, was %x", err, b.CRC(), crc)
	}
}

func TestSettersThatRecomputeTheCRC(t *testing.T) {
	b := sample(t, 2, Options{})
	b.SetMaxTimestamp(5000)
	if err := b.CheckClient(); err != nil || b.MaxTimestamp() != 5000 || b.TimestampType() != CreateTime {
		t.Errorf("SetMaxTimestamp: %v", err)
	}
	b.SetProducer(Producer{ID: 5, Epoch: 1, Sequence: 10})
	if err := b.CheckClient(); err != nil || b.ProducerID() != 5 || b.ProducerEpoch() != 1 || b.LastSequence() != 11 {
		t.Errorf("SetProducer: %v", err)
	}
	b.SetMaxTimestampLogAppend(6000)
	if err := b.Check(); err != nil || b.MaxTimestamp() != 6000 || b.TimestampType() != LogAppendTime {
		t.Errorf("SetMaxTimestampLogAppend: %v", err)
	}
}

func TestAddSequenceWraps(t *testing.T) {
	for _, c := range [][3]int32{{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}} {
		if got := AddSequence(c[0], c[1]); got != c[2] {
			t.Errorf("AddSequence(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
	if got := sample(t, 3, Options{}).LastSequence(); got != NoSequence {
		t.Errorf("without a producer the last sequence is %d", got)
	}
	if model.NoProducer != sample(t, 1, Options{}).ProducerID() {
		t.Error("a plain batch has a producer")
	}
}
