package wal

import "testing"

func TestBulkLoadsKeepABoundedTailInThePageCache(t *testing.T) {
	var b behind
	const n = 1 << 20
	var dropped []written
	for i := range int64(1000) {
		dropped = append(dropped, b.wrote(written{key: fileKey{number: 1}, from: i * n, n: n})...)
		if b.bytes > tailBytes {
			t.Fatalf("after %d groups %d bytes count as cached, the most is %d", i+1, b.bytes, tailBytes)
		}
	}
	if want := 1000 - tailBytes/n; len(dropped) != want {
		t.Fatalf("%d groups were dropped, want %d", len(dropped), want)
	}
	for i, w := range dropped {
		if w.from != int64(i)*n {
			t.Fatalf("drop %d is of position %d, want %d: the oldest go first", i, w.from, int64(i)*n)
		}
	}
	if len(b.queue) > 4*tailBytes/n {
		t.Errorf("the queue holds %d entries for %d groups", len(b.queue), tailBytes/n)
	}
}
