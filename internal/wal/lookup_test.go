package wal

import (
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
)

// TestMaxTimestampBehindStart: the newest record of a batch that holds the log start may lie before that. Then it does not count, and the
// newest one behind it is found.
func TestMaxTimestampBehindStart(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	defer l.Abandon(nil)
	const ts = 1_600_000_000_000
	for _, times := range [][]int64{{ts + 10, ts}, {ts + 5}} {
		o := record.NewBuilder(record.Options{})
		for _, at := range times {
			o.Add(at, []byte("key"), []byte("value"))
		}
		b, err := o.Build()
		if err != nil {
			t.Fatal(err)
		}
		must(t, l, b)
	}
	for _, c := range []struct {
		start, offset int
		ts            int64
	}{{0, 0, ts + 10}, {1, 2, ts + 5}} {
		if _, err := l.DeleteBefore(model.Offset(c.start)); err != nil {
			t.Fatal(err)
		}
		got, err := l.MaxTimestamp(l.DurableEnd())
		if want := (TimestampOffset{model.Offset(c.offset), c.ts}); err != nil || got != want {
			t.Errorf("from offset %d on: %+v, %v, want %+v", c.start, got, err, want)
		}
	}
}
