package streams

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawSubtopologies(t *rapid.T) (out []Subtopology) {
	for i := range rapid.IntRange(0, 4).Draw(t, "subtopologies") {
		out = append(out, Subtopology{ID: fmt.Sprint(i), Tasks: rapid.Int32Range(1, 12).Draw(t, "tasks"), Stateful: rapid.Bool().Draw(t, "stateful")})
	}
	return out
}

func drawMembers(t *rapid.T, most int) (out []Member) {
	processes := rapid.IntRange(1, most).Draw(t, "processes")
	for i := range rapid.IntRange(1, most).Draw(t, "members") {
		out = append(out, Member{ID: fmt.Sprintf("m%d", i), Process: fmt.Sprintf("p%d", rapid.IntRange(0, processes-1).Draw(t, "process"))})
	}
	return out
}

// peak is the most tasks that a member has.
func peak(by map[string]Tasks) (most int) {
	for _, x := range by {
		most = max(most, len(x.Active)+len(x.Standby))
	}
	return most
}

// after is the members with what they were given.
func after(members []Member, got map[string]Tasks) []Member {
	out := slices.Clone(members)
	for i, m := range out {
		out[i].Active, out[i].Standby = got[m.ID].Active, got[m.ID].Standby
	}
	return out
}

// check: each task is active once and has as many standbys as there are other processes for it, no process has a task twice, and no
// member has more active ones than its share.
func check(t *rapid.T, subtopologies []Subtopology, members []Member, standbys int, got map[string]Tasks) {
	t.Helper()
	active, standby, process := make(map[TaskID]int), make(map[TaskID]int), make(map[string]bool)
	total := 0
	for _, s := range subtopologies {
		total += int(s.Tasks)
	}
	processes := make(map[string]bool)
	for _, m := range members {
		processes[m.Process] = true
		have := got[m.ID]
		if share := (total + len(members) - 1) / len(members); len(have.Active) > share {
			t.Fatalf("%s has %d active tasks, its share is %d", m.ID, len(have.Active), share)
		}
		for _, x := range slices.Concat(have.Active, have.Standby) {
			at := fmt.Sprint(m.Process, x)
			if process[at] {
				t.Fatalf("%s has %v twice", m.Process, x)
			}
			process[at] = true
		}
		for _, x := range have.Active {
			active[x]++
		}
		for _, x := range have.Standby {
			standby[x]++
		}
	}
	for _, s := range subtopologies {
		for n := range s.Tasks {
			x, want := TaskID{s.ID, n}, 0
			if s.Stateful {
				want = min(standbys, len(processes)-1)
			}
			if active[x] != 1 || standby[x] != want {
				t.Fatalf("%v is active %d times, standby %d times of %d", x, active[x], standby[x], want)
			}
			delete(active, x)
		}
	}
	if len(got) != len(members) || len(active) > 0 {
		t.Fatalf("%d of %d members, tasks %v that there are not", len(got), len(members), active)
	}
}

// TestAssign: whoever comes and goes, the assignment is whole; without a change active tasks stay, and standbys do but for a better
// balance; who stays keeps what it had when others
// go; and order does not matter.
func TestAssign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subtopologies, members, standbys := drawSubtopologies(t), drawMembers(t, 8), rapid.IntRange(0, 3).Draw(t, "standbys")
		first := Assign(subtopologies, members, standbys)
		check(t, subtopologies, members, standbys, first)
		members = after(members, first)

		again := Assign(subtopologies, members, standbys)
		for id, x := range first {
			if diff := cmp.Diff(x.Active, again[id].Active); diff != "" {
				t.Fatalf("nothing has changed, but: %s", diff)
			}
		}
		if diff := cmp.Diff(first, again); diff != "" && peak(again) >= peak(first) {
			t.Fatalf("nothing has changed and nothing is better, but: %s", diff)
		}
		shuffled := slices.Clone(members)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(again, Assign(subtopologies, shuffled, standbys)); diff != "" {
			t.Fatalf("in another order: %s", diff)
		}

		if len(members) > 1 {
			gone := rapid.IntRange(0, len(members)-1).Draw(t, "gone")
			rest := slices.Delete(slices.Clone(members), gone, gone+1)
			got := Assign(subtopologies, rest, standbys)
			check(t, subtopologies, rest, standbys, got)
			for _, m := range rest {
				for _, x := range m.Active {
					if !slices.Contains(got[m.ID].Active, x) {
						t.Fatalf("%s loses %v because %s has gone", m.ID, x, members[gone].ID)
					}
				}
			}
		}
		more := append(slices.Clone(members), Member{ID: "new", Process: "new"})
		got := Assign(subtopologies, more, standbys)
		check(t, subtopologies, more, standbys, got)
		for _, m := range members {
			for _, x := range got[m.ID].Active {
				if !slices.Contains(m.Active, x) && !slices.Contains(m.Standby, x) {
					t.Fatalf("%s is given %v because another has come", m.ID, x)
				}
			}
		}
	})
}

func list(ts []TaskID) string {
	var out []string
	for _, x := range ts {
		out = append(out, fmt.Sprintf("%s.%d", x.Subtopology, x.Partition))
	}
	return strings.Join(out, " ")
}

// TestRanges: neighbours together at first.
func TestRanges(t *testing.T) {
	got := Assign([]Subtopology{{ID: "0", Tasks: 4}, {ID: "1", Tasks: 4}}, []Member{{ID: "a", Process: "a"}, {ID: "b", Process: "b"}}, 0)
	if a, b := list(got["a"].Active), list(got["b"].Active); a != "0.0 0.2 1.0 1.2" || b != "0.1 0.3 1.1 1.3" {
		t.Errorf("a: %s, b: %s", a, b)
	}
}

// TestStandbysTakeOver: tasks of a member that has gone go to who followed them.
func TestStandbysTakeOver(t *testing.T) {
	s := []Subtopology{{ID: "0", Tasks: 4, Stateful: true}}
	at := func(n int32) []TaskID { return []TaskID{{"0", n}} }
	members := []Member{ // d has gone, c followed it
		{ID: "a", Process: "a", Active: at(0), Standby: at(1)}, {ID: "b", Process: "b", Active: at(1), Standby: at(2)},
		{ID: "c", Process: "c", Active: at(2), Standby: at(3)},
	}
	if got := list(Assign(s, members, 1)["c"].Active); got != "0.2 0.3" {
		t.Errorf("c is given %s", got)
	}
	if len(Assign(s, nil, 1)) != 0 {
		t.Error("tasks for nobody")
	}
}

func BenchmarkAssign(b *testing.B) {
	var members []Member
	for i := range 200 {
		members = append(members, Member{ID: fmt.Sprint(i), Process: fmt.Sprint(i / 4)})
	}
	s := []Subtopology{{ID: "0", Tasks: 1000, Stateful: true}, {ID: "1", Tasks: 1000}}
	members = after(members, Assign(s, members, 1))
	for b.Loop() {
		Assign(s, members[:190], 1)
	}
}
