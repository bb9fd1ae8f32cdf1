package dataset

import "testing"

// The same two values stand in the Java, Python and JavaScript generators.
func TestFingerprint(t *testing.T) {
	for name, want := range Fingerprints {
		if got := MustParse(name).Fingerprint(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestCountAndLookupAgreeWithTheRecords(t *testing.T) {
	topic, n := MustParse("conf-x-none-3t"), 1000
	counts := map[int32]int64{}
	for i := range n {
		r := topic.Record(i)
		if r.Offset != counts[r.Partition] {
			t.Fatalf("record %d has offset %d, want %d", i, r.Offset, counts[r.Partition])
		}
		counts[r.Partition]++
	}
	for p, want := range counts {
		if got := topic.Count(p, n); got != want {
			t.Errorf("partition %d: Count %d, want %d", p, got, want)
		}
		off, ms := topic.MaxTimestamp(p, n)
		if topic.FirstAtOrAfter(p, ms, n) != off || topic.FirstAtOrAfter(p, ms+1, n) != -1 {
			t.Errorf("partition %d: nothing may follow the maximum timestamp %d at %d", p, ms, off)
		}
	}
}

func TestVerifierFindsWhatIsWrong(t *testing.T) {
	topic := MustParse("conf-x-none-1kevhdnt")
	feed := func(change func(offset int64, r *Record) bool) error {
		v := NewVerifier(topic, 100, Options{})
		for o := range int64(100) {
			r := topic.At(0, o)
			if change(o, &r) {
				v.Add(r)
			}
		}
		return v.Err()
	}
	for name, change := range map[string]func(int64, *Record) bool{
		"missing":   func(o int64, _ *Record) bool { return o != 50 },
		"last":      func(o int64, _ *Record) bool { return o != 99 },
		"value":     func(o int64, r *Record) bool { r.Value = append(r.Value, 1); return true },
		"null key":  func(o int64, r *Record) bool { r.Key = nil; return true },
		"timestamp": func(o int64, r *Record) bool { r.TimestampMs++; return true },
		"header":    func(o int64, r *Record) bool { r.Headers = nil; return true },
	} {
		if feed(change) == nil {
			t.Errorf("%s: not found", name)
		}
	}
	if err := feed(func(int64, *Record) bool { return true }); err != nil {
		t.Error(err)
	}
}
