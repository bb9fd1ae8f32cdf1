package assign

import (
	"fmt"
	"slices"
	"testing"

	"chronik/internal/model"

	"pgregory.net/rapid"
)

// TestSimple: everybody has something of what it is subscribed to, each partition has as many members as the others, and no more than it takes.
func TestSimple(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		same := rapid.Bool().Draw(t, "homogeneous")
		g := draw(t, same)
		for i := range g.Topics {
			for n := range g.Topics[i].Partitions {
				if rapid.IntRange(0, 4).Draw(t, "ready") > 0 {
					g.Topics[i].Ready = append(g.Topics[i].Ready, n)
				}
			}
		}
		out := Simple(g)
		if g.homogeneous() && len(g.Members) > 0 {
			fairly(t, &g, g.Members[0].Topics, out)
		} else {
			for i := range g.Topics {
				fairly(t, &g, []int32{int32(i)}, out)
			}
		}
		for m := range out {
			if !out[m].Equal(Of(out[m])) {
				t.Fatalf("%v is not sorted", out[m])
			}
			if p := out[m].Filter(g.sharedBy(m)); !p.Equal(out[m]) {
				t.Fatalf("member %d has %v, and may have %v", m, out[m], p)
			}
			g.Members[m].Owned = out[m]
		}
		for m, p := range Simple(g) {
			if !p.Equal(out[m]) {
				t.Fatalf("member %d has %v, and then %v", m, out[m], p)
			}
		}
	})
}

// TestSimpleCrowded: few partitions and many members, who had anything.
func TestSimpleCrowded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Group{Topics: []Topic{{ID: id(1), Partitions: 4, Ready: []int32{0, 1, 2, 3}[:rapid.IntRange(1, 4).Draw(t, "partitions")]}}}
		for i := range rapid.IntRange(2, 12).Draw(t, "members") {
			owned := rapid.SliceOfN(rapid.Int32Range(0, 3), 0, 4).Draw(t, "owned")
			g.Members = append(g.Members, Member{ID: fmt.Sprintf("m%02d", i), Topics: []int32{0}, Owned: Of([]TopicPartitions{{id(1), owned}})})
		}
		fairly(t, &g, []int32{0}, Simple(g))
	})
}

// fairly: of the partitions of some topics, among those that are subscribed to them.
func fairly(t *rapid.T, g *Group, topics []int32, out []Partitions) {
	members := 0
	var parts []int // how many members each has
	least, most := 1<<30, 0
	for m := range g.Members {
		if !contains(g.Members[m].Topics, topics) {
			continue
		}
		members++
		n := 0
		for _, i := range topics {
			n += len(out[m].topic(g.Topics[i].ID))
		}
		least, most = min(least, n), max(most, n)
	}
	for _, i := range topics {
		for _, n := range g.Topics[i].Ready {
			has := 0
			for m := range out {
				if out[m].Contains(g.Topics[i].ID, n) {
					has++
				}
			}
			parts = append(parts, has)
		}
	}
	if len(parts) == 0 || members == 0 {
		return
	}
	if most-least > 1 || least == 0 && members >= len(parts) {
		t.Fatalf("members have %d to %d partitions: %v", least, most, out)
	}
	for _, has := range parts {
		if has != (members+len(parts)-1)/len(parts) {
			t.Fatalf("%d members for one of %d partitions, there are %d: %v", has, len(parts), members, out)
		}
	}
}

// contains tells whether all of some numbers are among others.
func contains(all, some []int32) bool {
	return !slices.ContainsFunc(some, func(x int32) bool { return !slices.Contains(all, x) })
}

// sharedBy tells whether a member may have a partition.
func (g *Group) sharedBy(m int) func(model.TopicID, int32) bool {
	return func(id model.TopicID, n int32) bool {
		for _, i := range g.Members[m].Topics {
			if g.Topics[i].ID == id {
				return contains(g.Topics[i].Ready, []int32{n})
			}
		}
		return false
	}
}

// TestSimpleKeeps: while there are no more members than partitions, who comes takes its share and no other partition moves.
func TestSimpleKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(2, 40).Draw(t, "partitions")
		g := Group{Topics: []Topic{{ID: id(1), Partitions: n}}}
		for i := range n {
			g.Topics[0].Ready = append(g.Topics[0].Ready, i)
		}
		members := rapid.IntRange(1, int(n)-1).Draw(t, "members")
		for i := range members {
			g.Members = append(g.Members, Member{ID: fmt.Sprintf("m%02d", i), Topics: []int32{0}})
		}
		for i, p := range Simple(g) {
			g.Members[i].Owned = p
		}
		g.Members = append(g.Members, Member{ID: "new", Topics: []int32{0}})
		out := Simple(g)
		moved := 0
		for i := range members {
			moved += g.Members[i].Owned.Minus(out[i]).Count()
		}
		if moved != out[members].Count() {
			t.Fatalf("%d partitions move, the new member has %d", moved, out[members].Count())
		}
	})
}

// BenchmarkSimple is 200 members, the most that a share group has, and 1,000 partitions, and the other way around.
func BenchmarkSimple(b *testing.B) {
	for _, members := range []int{100, 200} {
		for _, parts := range []int32{1, 100} {
			g := large(members, true)
			for i := range g.Topics {
				g.Topics[i].Partitions = parts
				for n := range parts {
					g.Topics[i].Ready = append(g.Topics[i].Ready, n)
				}
			}
			b.Run(fmt.Sprintf("members=%d/partitions=%d", members, 10*parts), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Simple(g)
				}
			})
		}
	}
}
