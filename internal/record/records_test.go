package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"chronik/internal/record/compress"

	"pgregory.net/rapid"
)

type plain struct {
	ts         int64
	key, value []byte
	headers    []Header
}

func drawBytes(t *rapid.T, what string) []byte {
	if rapid.Bool().Draw(t, what+" is null") {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, what)...)
}

func drawRecords(t *rapid.T) []plain {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plain {
		p := plain{ts: rapid.Int64Range(-1, 1<<50).Draw(t, "ts"), key: drawBytes(t, "key"), value: drawBytes(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			p.headers = append(p.headers, Header{Key: rapid.String().Draw(t, "header"), Value: drawBytes(t, "header value")})
		}
		return p
	}), 1, 20).Draw(t, "records")
}

// What is built can be read: every codec, every shape of record.
func TestBuildAndReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecords(t)
		o := Options{
			BaseOffset: 100,
			Codec:      compress.Codec(rapid.IntRange(0, 4).Draw(t, "codec")),
		}
		w := NewBuilder(o)
		for _, p := range want {
			w.Add(p.ts, p.key, p.value, p.headers...)
		}
		b, err := w.Build()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.CheckClient(); err != nil {
			t.Fatal(err)
		}
		data, err := compress.Decompress(nil, b.Records(), b.Codec(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		err = ValidateRecords(data, b.RecordCount(), func(i int, r Record) error {
			same(t, want[i], b.BaseTimestamp(), r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if top := slices.MaxFunc(want, func(a, b plain) int { return int(min(1, max(-1, a.ts-b.ts))) }); b.MaxTimestamp() != top.ts {
			t.Fatalf("max timestamp %d, want %d", b.MaxTimestamp(), top.ts)
		}
	})
}

func same(t *rapid.T, want plain, base int64, got Record) {
	if want.ts != base+got.TimestampDelta || !equalNull(want.key, got.Key) || !equalNull(want.value, got.Value) || got.Headers.Len() != len(want.headers) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	i := 0
	for k, v := range got.Headers.All() {
		if string(k) != want.headers[i].Key || !equalNull(v, want.headers[i].Value) {
			t.Fatalf("header %d: got %q=%q, want %+v", i, k, v, want.headers[i])
		}
		i++
	}
	if i != len(want.headers) {
		t.Fatalf("%d headers, want %d", i, len(want.headers))
	}
}

func equalNull(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// one is the encoding of a record with offset delta 0, the key "k", no value and no headers.
var one = []byte{14, 0, 0, 0, 2, 'k', 1, 0}

func TestValidateRecordsNamesTheBadOne(t *testing.T) {
	good := func(delta byte) []byte { r := bytes.Clone(one); r[3] = delta << 1; return r }
	bad := func(change func(r []byte) []byte) []byte { return change(good(1)) }
	set := func(at int, v byte) []byte { return bad(func(r []byte) []byte { r[at] = v; return r }) }
	for _, c := range []struct {
		name   string
		second []byte
		index  int
	}{
		{"offset delta 0 again", good(0), 1},
		{"offset delta 2", good(2), 1},
		{"length longer than the data", set(0, 40), 1},
		{"length too short", set(0, 12), 1},
		{"negative length", set(0, 3), 1},
		{"null record", set(0, 1), 1},
		{"empty record", set(0, 0), 1},
		{"key longer than the record", set(4, 100), 1},
		{"key length -2", set(4, 3), 1},
		{"value longer than the record", set(6, 10), 1},
		{"headers that are not there", set(7, 2), 1},
		{"negative header count", set(7, 1), 1},
		{"a byte after the headers", bad(func(r []byte) []byte { r[0] += 2; return append(r, 0) }), 1},
		{"a byte after the last record", append(good(1), 0), 2},
		{"null header key", []byte{18, 0, 0, 2, 2, 'k', 1, 2, 1, 0}, 1},
		{"varint of six bytes", []byte{24, 0, 0, 0x82, 0x80, 0x80, 0x80, 0x80, 0, 2, 'k', 1, 0}, 1},
		{"varint of 33 bits", []byte{22, 0, 0, 0x82, 0x80, 0x80, 0x80, 0x10, 2, 'k', 1, 0}, 1},
		{"missing", nil, 1},
	} {
		err := ValidateRecords(append(good(0), c.second...), 2, nil)
		var re *RecordError
		if !errors.As(err, &re) || !errors.Is(err, ErrRecord) || re.Index != c.index {
			t.Errorf("%s: %v, want an error of record %d", c.name, err, c.index)
		}
	}
	if err := ValidateRecords(append(good(0), good(1)...), 2, nil); err != nil {
		t.Errorf("two good records: %v", err)
	}
}

func TestValidateRecordsStopsWhenVisitFails(t *testing.T) {
	b := sample(t, 5, Options{})
	no := errors.New("no")
	seen := 0
	err := ValidateRecords(b.Records(), b.RecordCount(), func(i int, _ Record) error {
		seen++
		if i == 2 {
			return no
		}
		return nil
	})
	var re *RecordError
	if !errors.As(err, &re) || re.Index != 2 || !errors.Is(err, no) || seen != 3 {
		t.Errorf("%v after %d records", err, seen)
	}
}

func TestVarintRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v")
		b := appendVarint(nil, v)
		if len(b) != varintLen(v) {
			t.Fatalf("varintLen(%d) = %d, it took %d", v, varintLen(v), len(b))
		}
		if got, n := varint64(b); got != v || n != len(b) {
			t.Fatalf("varint64 = %d in %d bytes, want %d in %d", got, n, v, len(b))
		}
		got, n := varint32(b)
		if fits := int64(int32(v)) == v; fits != (n == len(b)) || fits && int64(got) != v {
			t.Fatalf("varint32 of %d = %d in %d", v, got, n)
		}
	})
}
