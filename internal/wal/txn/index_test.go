package txn

import (
	"errors"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
	"pgregory.net/rapid"
)

func indexOf(t *testing.T, txns ...AbortedTxn) *Index {
	t.Helper()
	x := &Index{}
	for _, a := range txns {
		if err := x.Append(a); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func TestCollectAborted(t *testing.T) {
	a := AbortedTxn{Producer: 1, FirstOffset: 5, LastOffset: 12, LastStable: 8}
	b := AbortedTxn{Producer: 2, FirstOffset: 8, LastOffset: 20, LastStable: 21}
	c := AbortedTxn{Producer: 1, FirstOffset: 25, LastOffset: 30, LastStable: 31}
	x := indexOf(t, a, b, c)
	for _, tc := range []struct {
		from, to model.Offset
		want     []AbortedTxn
	}{
		{0, 5, nil},
		{0, 6, []AbortedTxn{a}},
		{0, 9, []AbortedTxn{a, b}},
		{12, 13, []AbortedTxn{a, b}}, // the marker belongs to the transaction
		{13, 20, []AbortedTxn{b}},
		{21, 25, nil},
		{20, 100, []AbortedTxn{b, c}},
		{31, 100, nil},
	} {
		if got := x.CollectAborted(nil, tc.from, tc.to); !slices.Equal(got, tc.want) {
			t.Errorf("CollectAborted(%d, %d) = %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestAppendRefusesDisorder(t *testing.T) {
	x := indexOf(t, AbortedTxn{Producer: 1, FirstOffset: 5, LastOffset: 12, LastStable: 8})
	for _, bad := range []AbortedTxn{
		{Producer: 1, FirstOffset: 6, LastOffset: 12, LastStable: 13},  // two markers at one offset
		{Producer: 1, FirstOffset: 6, LastOffset: 20, LastStable: 7},   // last stable offset goes back
		{Producer: 1, FirstOffset: 21, LastOffset: 20, LastStable: 21}, // ends before it begins
		{Producer: 1, FirstOffset: 13, LastOffset: 20, LastStable: 22}, // stable beyond its marker
	} {
		if err := x.Append(bad); !errors.Is(err, ErrOrder) {
			t.Errorf("Append(%+v) = %v, want ErrOrder", bad, err)
		}
	}
}

func TestAnEmptyIndexHoldsNothing(t *testing.T) {
	x := indexOf(t, AbortedTxn{Producer: 1, FirstOffset: 5, LastOffset: 12, LastStable: 8})
	if x.DropBefore(12) || !x.DropBefore(13) || x.txns != nil {
		t.Errorf("after DropBefore(13): %v", x.txns)
	}
}

// The model is a list of all transactions, open and ended, and a search without cleverness.
type naive struct {
	end   model.Offset
	open  map[model.ProducerID]model.Offset
	ended []AbortedTxn
}

func (n *naive) lastStable() model.Offset {
	lso := n.end
	for _, first := range n.open {
		lso = min(lso, first)
	}
	return lso
}

func TestIndexAgreesWithANaiveSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		n := naive{open: map[model.ProducerID]model.Offset{}}
		pid := rapid.Int64Range(1, 4)
		t.Repeat(map[string]func(*rapid.T){
			"data": func(t *rapid.T) {
				p := model.ProducerID(pid.Draw(t, "producer"))
				if _, ok := n.open[p]; !ok {
					n.open[p] = n.end
				}
				n.end += model.Offset(rapid.IntRange(1, 3).Draw(t, "records"))
			},
			"end": func(t *rapid.T) {
				p := model.ProducerID(pid.Draw(t, "producer"))
				first, ok := n.open[p]
				if !ok {
					return
				}
				delete(n.open, p)
				n.end++
				if rapid.Bool().Draw(t, "abort") {
					a := AbortedTxn{Producer: p, FirstOffset: first, LastOffset: n.end - 1, LastStable: n.lastStable()}
					n.ended = append(n.ended, a)
					if err := x.Append(a); err != nil {
						t.Fatal(err)
					}
				}
			},
			"truncate": func(t *rapid.T) {
				n.end = model.Offset(rapid.Int64Range(int64(n.lastStable()), int64(n.end)).Draw(t, "end"))
				for p, first := range n.open {
					if first >= n.end {
						delete(n.open, p)
					}
				}
				// A transaction whose marker is cut off is open again; here it is begun anew.
				n.ended = slices.DeleteFunc(n.ended, func(a AbortedTxn) bool { return a.LastOffset >= n.end })
				x.TruncateTo(n.end)
			},
			"drop": func(t *rapid.T) {
				start := model.Offset(rapid.Int64Range(0, int64(n.end)/4).Draw(t, "start"))
				n.ended = slices.DeleteFunc(n.ended, func(a AbortedTxn) bool { return a.LastOffset < start })
				x.DropBefore(start)
			},
			"reload": func(t *rapid.T) {
				got, end, err := LoadSnapshot(x.AppendSnapshot(nil, n.end))
				if err != nil || end != n.end || !slices.Equal(got.All(), x.All()) {
					t.Fatalf("reloaded %v up to %d, %v; want %v", got.All(), end, err, x.All())
				}
				x = got
			},
			"": func(t *rapid.T) {
				from := model.Offset(rapid.Int64Range(0, int64(n.end)).Draw(t, "from"))
				to := model.Offset(rapid.Int64Range(int64(from), int64(n.end)).Draw(t, "to"))
				var want []AbortedTxn
				for _, a := range n.ended {
					if a.LastOffset >= from && a.FirstOffset < to {
						want = append(want, a)
					}
				}
				if got := x.CollectAborted(nil, from, to); !slices.Equal(got, want) {
					t.Fatalf("CollectAborted(%d, %d) = %v, want %v; all %v", from, to, got, want, n.ended)
				}
			},
		})
	})
}

func TestLoadSnapshotRefusesWhatContradictsItself(t *testing.T) {
	for name, x := range map[string]Index{
		"beyond the end": {txns: []AbortedTxn{{1, 5, 12, 8}}},
		"no producer":    {txns: []AbortedTxn{{-1, 5, 6, 6}}},
		"order":          {txns: []AbortedTxn{{1, 5, 6, 6}, {2, 3, 4, 5}}},
	} {
		if _, _, err := LoadSnapshot(x.AppendSnapshot(nil, 12)); !errors.Is(err, snapshot.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// Whatever the bytes are, they load to an index that writes them again, or not at all.
func FuzzLoadSnapshot(f *testing.F) {
	f.Add((&Index{}).AppendSnapshot(nil, 0)[snapshot.HeaderBytes:])
	f.Add((&Index{txns: []AbortedTxn{{1, 5, 12, 8}, {2, 8, 20, 21}}}).AppendSnapshot(nil, 30)[snapshot.HeaderBytes:])
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = LoadSnapshot(body)
		file := kind.Seal(append(kind.Begin(nil), body...), 0)
		x, end, err := LoadSnapshot(file)
		if err == nil && !slices.Equal(x.AppendSnapshot(nil, end), file) {
			t.Fatalf("%x loads to %v and is written as something else", body, x.txns)
		}
	})
}
