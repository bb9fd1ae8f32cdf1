package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeLog is a broker in memory that keeps, loses, doubles or damages what it acknowledges.
type fakeLog struct {
	gen        *Generator
	size       int
	partitions [][]Record
	account    *Account
	sent       int64
	readErr    error
}

const fakeSize = 64

func newFakeLog(partitions, samples int, offsets bool) *fakeLog {
	return &fakeLog{
		gen: NewGenerator(7, 10, fakeSize), size: fakeSize,
		partitions: make([][]Record, partitions), account: NewAccount(partitions, samples, offsets),
	}
}

// store appends the next record as a broker would.
func (f *fakeLog) store(partition int) Record {
	seq := Sequence(3, f.sent)
	f.sent++
	value := f.gen.NewPayload(f.size, uint32(f.sent))
	f.gen.Stamp(value, seq, time.Unix(1, 2))
	r := Record{Offset: int64(len(f.partitions[partition])), Key: f.gen.Key(nil, seq), Value: value}
	f.partitions[partition] = append(f.partitions[partition], r)
	return r
}

// produce stores and acknowledges n records, spread over the partitions.
func (f *fakeLog) produce(n int) {
	for i := range n {
		p := i % len(f.partitions)
		seq := Sequence(3, f.sent)
		r := f.store(p)
		f.account.Ack(int32(p), r.Offset, seq, len(r.Key)+len(r.Value))
	}
}

func (f *fakeLog) Read(_ context.Context, partition int32, from int64, maxBytes int) ([]Record, error) {
	if f.readErr != nil {
		return nil, f.readErr
	}
	log := f.partitions[partition]
	if from >= int64(len(log)) {
		return nil, errors.New("no record there")
	}
	n := max(1, maxBytes/f.size)
	return log[from:min(int(from)+n, len(log))], nil
}

func (f *fakeLog) ends() []int64 {
	ends := make([]int64, len(f.partitions))
	for p, log := range f.partitions {
		ends[p] = int64(len(log))
	}
	return ends
}

func (f *fakeLog) verify(t *testing.T, full bool, barriers int64) *Verification {
	t.Helper()
	v, err := Verify(t.Context(), Stored{
		Ledger: Sum(100, f.account), Before: make([]int64, len(f.partitions)), After: f.ends(), Barriers: barriers,
		Generator: f.gen, MessageSize: f.size, Full: full, Samples: 100,
	}, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVerify damages a log in every way that the verification promises to notice.
func TestVerify(t *testing.T) {
	const n = 1000
	drop := func(f *fakeLog, p int, i int) { // offsets close up behind it, as in a broker that never had it
		log := slices.Delete(f.partitions[p], i, i+1)
		for k := range log {
			log[k].Offset = int64(k)
		}
		f.partitions[p] = log
	}
	tests := []struct {
		name   string
		damage func(f *fakeLog)
		sample string // what a sampled verification must say; empty: it may pass
		full   string
	}{
		{"nothing", func(*fakeLog) {}, "", ""},
		{"last record lost", func(f *fakeLog) { drop(f, 1, n/2-1) }, "lost", "lost"},
		{"record in the middle lost", func(f *fakeLog) { drop(f, 0, 10) }, "lost", "lost"},
		{"record lost, another stored twice", func(f *fakeLog) {
			log := f.partitions[0]
			log[7] = Record{Offset: 7, Key: log[6].Key, Value: log[6].Value}
		}, "", "stored twice"},
		{"record stored twice", func(f *fakeLog) {
			last := f.partitions[0][n/2-1]
			last.Offset++
			f.partitions[0] = append(f.partitions[0], last)
		}, "too many", "stored twice"},
		{"records swapped everywhere", func(f *fakeLog) {
			a, b := f.partitions[0], f.partitions[1]
			for i := range a {
				a[i], b[i] = b[i], a[i]
			}
		}, "was acknowledged there", ""}, // still each one once: only the sample knows who was promised what
		{"every payload with a flipped bit", func(f *fakeLog) {
			for _, log := range f.partitions {
				for i := range log {
					log[i].Value[40] ^= 1
				}
			}
		}, "checksum", "checksum"},
		{"one payload with a flipped bit", func(f *fakeLog) { f.partitions[1][77].Value[63] ^= 0x80 }, "", "checksum"},
		{"key lost", func(f *fakeLog) { f.partitions[1][77].Key = nil }, "", "key is"},
		{"payload cut", func(f *fakeLog) { f.partitions[0][5].Value = f.partitions[0][5].Value[:20] }, "", "not a payload"},
		{"payload of another run", func(f *fakeLog) {
			other := NewGenerator(8, 10, fakeSize)
			f.partitions[0][5].Value = other.NewPayload(fakeSize, 1)
			other.Stamp(f.partitions[0][5].Value, 1, time.Unix(1, 2))
		}, "", "another run"},
		{"gap in the offsets", func(f *fakeLog) {
			for i := 100; i < n/2; i++ {
				f.partitions[0][i].Offset++
			}
		}, "", "follows"},
		{"reads fail", func(f *fakeLog) { f.readErr = errors.New("corrupt message") }, "corrupt message", "corrupt message"},
	}
	for _, test := range tests {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/full=%t", test.name, full), func(t *testing.T) {
				f := newFakeLog(2, 100, true)
				f.produce(n)
				test.damage(f)
				v, want := f.verify(t, full, 0), test.sample
				if full {
					want = test.full
				}
				said := strings.Join(v.Problems, "\n")
				if want != "" && (v.OK || !strings.Contains(said, want)) {
					t.Errorf("OK is %t and the problems do not speak of %q: %s", v.OK, want, said)
				}
				if test.name == "nothing" && !v.OK {
					t.Errorf("an intact log is refused: %s", v)
				}
			})
		}
	}
}

func TestVerifyAnsweredTwice(t *testing.T) {
	f := newFakeLog(1, 100, true)
	f.produce(10)
	f.account.partitions[0].OffsetSum-- // offset 4 answered twice, 5 never
	if v := f.verify(t, false, 0); v.OK || !strings.Contains(v.Problems[0], "answered twice") {
		t.Errorf("two answers with one offset went unnoticed: %s", v)
	}
}

func TestVerifyFailedRecordsMayBeStored(t *testing.T) {
	f := newFakeLog(1, 100, true)
	f.produce(10)
	f.store(0) // stored, but its answer was lost
	f.account.Fail(0, errors.New("timed out"))
	v := f.verify(t, false, 0)
	if len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "1 records failed") {
		t.Errorf("want the failure and nothing else: %s", v)
	}
}

func TestVerifyAcks0(t *testing.T) {
	for _, lost := range []int{0, 1} {
		f := newFakeLog(2, 100, false)
		f.produce(100)
		for p := range f.partitions {
			f.partitions[p] = append(f.partitions[p], Record{Offset: 50, Value: barrierValue})
		}
		f.partitions[1] = f.partitions[1][lost:]
		if v := f.verify(t, false, 1); v.OK != (lost == 0) {
			t.Errorf("%d lost: %s", lost, v)
		}
	}
}

func TestVerifyNothingReadBack(t *testing.T) {
	f := newFakeLog(1, 100, true)
	f.produce(3)
	l := Sum(100, f.account)
	l.Samples = nil
	v, err := Verify(t.Context(), Stored{Ledger: l, Before: []int64{0}, After: []int64{3}, Generator: f.gen, MessageSize: f.size}, f)
	if err != nil || v.OK {
		t.Errorf("a run of which nothing was read back passes: %v %v", v, err)
	}
}

func TestSumRange(t *testing.T) {
	for from := range int64(5) {
		var want uint64
		for to := from; to < from+6; to++ {
			if got := sumRange(from, to); got != want {
				t.Errorf("sumRange(%d, %d) = %d, want %d", from, to, got, want)
			}
			want += uint64(to)
		}
	}
}
