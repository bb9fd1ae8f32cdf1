package timeline

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chronik/internal/model"
)

func TestG1SettledIsBelowTheWatermark(t *testing.T) {
	var l Log
	m := NewMap[string, int](&l)
	l.Settle(10)
	m.Put(3, "loaded", 1) // below: as when a log is loaded
	m.Put(10, "a", 1)
	m.Put(11, "a", 2)
	m.Delete(12, "loaded")
	check := func(step, k string, newest, settled value[int]) {
		t.Helper()
		if v, ok := m.Get(k); v != newest.v || ok != newest.ok {
			t.Errorf("%s: %s is %d, %t, want %+v", step, k, v, ok, newest)
		}
		if v, ok := m.Settled(k); v != settled.v || ok != settled.ok {
			t.Errorf("%s: settled, %s is %d, %t, want %+v", step, k, v, ok, settled)
		}
	}
	none := value[int]{}
	check("pending", "a", value[int]{2, true}, none)
	check("pending", "loaded", none, value[int]{1, true})
	l.Settle(11)
	check("one settled", "a", value[int]{2, true}, value[int]{1, true})
	l.Revert(12)
	check("one taken back", "loaded", value[int]{1, true}, value[int]{1, true})
	l.Revert(11)
	check("two taken back", "a", value[int]{1, true}, value[int]{1, true})
	if l.Pending() != 0 || len(m.pending) != 0 {
		t.Errorf("%d changes are left, %v", l.Pending(), m.pending)
	}
}

func TestDeletingNothingIsNoChange(t *testing.T) {
	var l Log
	m := NewMap[string, int](&l)
	m.Delete(0, "a")
	if l.Pending() != 0 || !m.Empty() {
		t.Errorf("%d changes are pending", l.Pending())
	}
}

// TestRevertBelowTheWatermarkIsABug: what readers have seen must not be taken back.
func TestRevertBelowTheWatermarkIsABug(t *testing.T) {
	var l Log
	l.Settle(5)
	defer func() {
		if recover() == nil {
			t.Error("it was done")
		}
	}()
	l.Revert(4)
}

// record is what the model knows of a change.
type record struct {
	offset model.Offset
	second bool // of the two maps
	key    int
	value  int // 0: deleted
}

// TestModel compares two maps of one log with what follows from the list of all changes.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Log
		got := [2]*Map[int, int]{NewMap[int, int](&l), NewMap[int, int](&l)}
		var all []record
		var end, watermark model.Offset
		replay := func(below model.Offset) (out [2]map[int]int) {
			out = [2]map[int]int{{}, {}}
			for _, r := range all {
				m := out[0]
				if r.second {
					m = out[1]
				}
				switch {
				case r.offset >= below:
				case r.value == 0:
					delete(m, r.key)
				default:
					m[r.key] = r.value
				}
			}
			return out
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				for range rapid.IntRange(1, 3).Draw(t, "changes of the record") {
					r := record{end, rapid.Bool().Draw(t, "second"), rapid.IntRange(0, 4).Draw(t, "key"), rapid.IntRange(0, 3).Draw(t, "value")}
					m := got[0]
					if r.second {
						m = got[1]
					}
					if all = append(all, r); r.value == 0 {
						m.Delete(r.offset, r.key)
					} else {
						m.Put(r.offset, r.key, r.value)
					}
				}
				end++
			},
			"settle": func(t *rapid.T) {
				watermark = max(watermark, model.Offset(rapid.Int64Range(0, int64(end)).Draw(t, "watermark")))
				l.Settle(watermark)
			},
			"revert": func(t *rapid.T) {
				end = model.Offset(rapid.Int64Range(int64(watermark), int64(end)).Draw(t, "from"))
				l.Revert(end)
				for len(all) > 0 && all[len(all)-1].offset >= end {
					all = all[:len(all)-1]
				}
			},
			"": func(t *rapid.T) {
				newest, settled := replay(end), replay(watermark)
				for i, m := range got {
					if d := cmp.Diff(newest[i], maps.Collect(m.All())); d != "" {
						t.Fatalf("newest: %s", d)
					}
					if d := cmp.Diff(settled[i], maps.Collect(m.AllSettled())); d != "" {
						t.Fatalf("settled: %s", d)
					}
					for k := range 5 {
						if v, ok := m.Settled(k); v != settled[i][k] || ok != (v != 0) {
							t.Fatalf("Settled(%d) = %d, %t, want %d", k, v, ok, settled[i][k])
						}
						if v, ok := m.Get(k); v != newest[i][k] || ok != (v != 0) {
							t.Fatalf("Get(%d) = %d, %t, want %d", k, v, ok, newest[i][k])
						}
					}
				}
				if watermark == end && (l.Pending() != 0 || len(got[0].pending)+len(got[1].pending) != 0) {
					t.Fatalf("all is settled, and %d changes are kept", l.Pending())
				}
			},
		})
	})
}

// BenchmarkPut: a change of a key of a million, settled in batches.
func BenchmarkPut(b *testing.B) {
	var l Log
	m := NewMap[int, int](&l)
	b.ReportAllocs()
	at := model.Offset(0)
	for b.Loop() {
		m.Put(at, int(at%1000000), 1)
		if at++; at%100 == 0 {
			l.Settle(at)
		}
	}
}
