package wal

import (
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
)

// TestT2StableIsNotBelowTheStart: records of an open transaction are deleted. Readers of committed records who ask for the end are not sent to where nothing is; what is
// left of the transaction, and what comes after it, waits for its marker as before, and after a restart.
func TestT2StableIsNotBelowTheStart(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	data := func(seq int32) {
		mustInTransaction(t, l, record.Producer{ID: 1, Sequence: seq}, 1, nil, []byte("a record of a transaction"))
	}
	stable := func(when string, watermark, want model.Offset) {
		t.Helper()
		if got := l.LastStable(watermark); got != want {
			t.Errorf("%s: the last stable offset is %d at the watermark %d, want %d", when, got, watermark, want)
		}
	}
	must(t, l, batch(2, 10, 1, nil)) // 0 and 1
	for seq := range int32(4) {      // 2 to 5
		data(seq)
	}
	stable("open", 6, 2)
	if _, err := l.DeleteBefore(4); err != nil {
		t.Fatal(err)
	}
	stable("half of it deleted", 6, 4)
	l.Abandon(nil)
	l, _ = e.open()
	stable("opened again", 6, 4)
	must(t, l, record.EndTxn(record.Marker{Type: record.Commit, Producer: 1, TimestampMs: 1}))
	stable("ended, the marker is not safe", 6, 4)
	stable("ended", 7, 7)
	l.Abandon(nil)
}
