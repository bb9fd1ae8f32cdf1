package assign

import (
	"fmt"
	"slices"
	"testing"

	"chronik/internal/model"

	"pgregory.net/rapid"
)

// TestAssignors: complete, subscribed, and fair, for any group; what was owned may be anything.
func TestAssignors(t *testing.T) {
	for _, name := range []string{"uniform", "range"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				g := draw(t, rapid.Bool().Draw(t, "homogeneous"))
				out := Named(name)(g)
				whole(t, g, out)
				if again := Named(name)(g); !slices.EqualFunc(out, again, Partitions.Equal) {
					t.Fatalf("%v, and then %v", out, again)
				}
			})
		})
	}
}

// whole: each partition that somebody is subscribed to has one owner, who is subscribed to it.
func whole(t *rapid.T, g Group, out []Partitions) {
	owner := make(map[string]int)
	for m, parts := range out {
		if !parts.Equal(Of(parts)) {
			t.Fatalf("%v is not sorted", parts)
		}
		for id, n := range parts.All() {
			key := fmt.Sprint(id, n)
			if other, ok := owner[key]; ok {
				t.Fatalf("%s is given to %d and to %d", key, other, m)
			}
			owner[key] = m
			i := slices.IndexFunc(g.Topics, func(t Topic) bool { return t.ID == id })
			if i < 0 || n >= g.Topics[i].Partitions || !slices.Contains(g.Members[m].Topics, int32(i)) {
				t.Fatalf("%d gets %s", m, key)
			}
		}
	}
	want := 0
	for i, topic := range g.Topics {
		if slices.ContainsFunc(g.Members, func(m Member) bool { return slices.Contains(m.Topics, int32(i)) }) {
			want += int(topic.Partitions)
		}
	}
	if len(owner) != want {
		t.Fatalf("%d partitions have an owner, there are %d", len(owner), want)
	}
}

// TestUniformBalanced: with the same subscriptions members differ by one at most, and no partition moves that need not: what is kept is
// what each member may keep.
func TestUniformBalanced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := draw(t, true)
		out := Uniform(g)
		if len(out) == 0 {
			return
		}
		least, most, total := out[0].Count(), out[0].Count(), 0
		for _, p := range out {
			least, most, total = min(least, p.Count()), max(most, p.Count()), total+p.Count()
		}
		if most-least > 1 {
			t.Fatalf("between %d and %d partitions", least, most)
		}
		each, extra, kept, could := total/len(out), total%len(out), 0, 0
		valid := claim(&g)
		for m := range out {
			kept += out[m].And(g.Members[m].Owned.Filter(func(id model.TopicID, n int32) bool { return valid.owner(id, n) == int32(m) })).Count()
			if had := int(valid.counts[m]); had > each && extra > 0 {
				could, extra = could+each+1, extra-1
			} else {
				could += min(had, each)
			}
		}
		if kept != could {
			t.Fatalf("%d partitions stay, %d could", kept, could)
		}
	})
}

func (o *owners) owner(id model.TopicID, n int32) int32 {
	i := slices.IndexFunc(o.group.Topics, func(t Topic) bool { return t.ID == id })
	if i < 0 || n >= o.group.Topics[i].Partitions {
		return nobody
	}
	return o.of[o.first[i]+n]
}

// TestUniformDifferent: no move of one partition makes two subscribers of its topic more even, and a second look moves nothing.
func TestUniformDifferent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := draw(t, false)
		out := Uniform(g)
		for m := range out {
			for id := range out[m].All() {
				i := int32(slices.IndexFunc(g.Topics, func(t Topic) bool { return t.ID == id }))
				for other := range out {
					if slices.Contains(g.Members[other].Topics, i) && out[m].Count()-out[other].Count() > 1 {
						t.Fatalf("member %d has %d partitions, some of a topic of member %d, which has %d", m, out[m].Count(), other, out[other].Count())
					}
				}
			}
		}
		for m := range out {
			g.Members[m].Owned = out[m]
		}
		if again := Uniform(g); !slices.EqualFunc(out, again, Partitions.Equal) {
			t.Fatalf("%v becomes %v", out, again)
		}
	})
}

// TestRangeEven: shares of a topic differ by one, and topics of as many partitions that have the same subscribers go together.
func TestRangeEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := draw(t, rapid.Bool().Draw(t, "homogeneous"))
		out := Range(g)
		subscribers := make([][]int, len(g.Topics))
		for m := range g.Members {
			for _, i := range g.Members[m].Topics {
				subscribers[i] = append(subscribers[i], m)
			}
		}
		for i, topic := range g.Topics {
			for _, m := range subscribers[i] {
				mine := out[m].topic(topic.ID)
				if len(mine) > 0 && int(mine[len(mine)-1]-mine[0]) != len(mine)-1 {
					t.Fatalf("%v is no range", mine)
				}
				if share := int(topic.Partitions) / len(subscribers[i]); len(mine) != share && len(mine) != share+1 {
					t.Fatalf("%d of %d partitions for one of %d members", len(mine), topic.Partitions, len(subscribers[i]))
				}
				for j, other := range g.Topics {
					if other.Partitions == topic.Partitions && slices.Equal(subscribers[i], subscribers[j]) && !slices.Equal(mine, out[m].topic(other.ID)) {
						t.Fatalf("member %d has %v and %v", m, mine, out[m].topic(other.ID))
					}
				}
			}
		}
	})
}

// TestRangeStatic: a static member that comes back under another ID has what it had.
func TestRangeStatic(t *testing.T) {
	g := Group{Topics: []Topic{{ID: id(1), Partitions: 7}}}
	for _, m := range []Member{{ID: "a"}, {ID: "b", Instance: "y"}, {ID: "c", Instance: "x"}} {
		m.Topics = []int32{0}
		g.Members = append(g.Members, m)
	}
	if got := fmt.Sprint(numbers(Range(g))); got != "[[5 6] [3 4] [0 1 2]]" {
		t.Error(got)
	}
	g.Members[1].ID, g.Members[1].Instance, g.Members[2].ID, g.Members[2].Instance = "bb", "x", "cc", "y"
	if got := fmt.Sprint(numbers(Range(g))); got != "[[5 6] [0 1 2] [3 4]]" {
		t.Error(got)
	}
}

func numbers(all []Partitions) (out [][]int32) {
	for _, p := range all {
		out = append(out, p.topic(id(1)))
	}
	return out
}

func id(n int) model.TopicID { return model.TopicID{byte(n >> 8), byte(n)} }

func draw(t *rapid.T, homogeneous bool) Group {
	var g Group
	for i := range rapid.IntRange(0, 5).Draw(t, "topics") {
		g.Topics = append(g.Topics, Topic{ID: id(i + 1), Partitions: rapid.Int32Range(1, 12).Draw(t, "partitions")})
	}
	subscribe := func() (out []int32) {
		for i := range g.Topics {
			if rapid.IntRange(0, 3).Draw(t, "subscribed") > 0 {
				out = append(out, int32(i))
			}
		}
		return out
	}
	same := subscribe()
	for i := range rapid.IntRange(0, 8).Draw(t, "members") {
		m := Member{ID: fmt.Sprintf("m%d", i), Topics: same, Owned: drawOwned(t)}
		if !homogeneous {
			m.Topics = subscribe()
		}
		if rapid.IntRange(0, 3).Draw(t, "static") == 0 {
			m.Instance = fmt.Sprintf("i%d", rapid.IntRange(0, 100).Draw(t, "instance")*10+i)
		}
		g.Members = append(g.Members, m)
	}
	return g
}

// drawOwned may name topics and partitions that do not exist, and what others own.
func drawOwned(t *rapid.T) Partitions {
	var all []TopicPartitions
	for range rapid.IntRange(0, 3).Draw(t, "owned topics") {
		all = append(all, TopicPartitions{id(rapid.IntRange(1, 7).Draw(t, "topic")), rapid.SliceOfN(rapid.Int32Range(0, 15), 0, 8).Draw(t, "owned")})
	}
	return Of(all)
}

func TestPartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawOwned(t), drawOwned(t)
		for topic := range 8 {
			for n := range int32(16) {
				x, y := a.Contains(id(topic), n), b.Contains(id(topic), n)
				if a.And(b).Contains(id(topic), n) != (x && y) || a.Or(b).Contains(id(topic), n) != (x || y) || a.Minus(b).Contains(id(topic), n) != (x && !y) {
					t.Fatalf("%v and %v at %d-%d", a, b, topic, n)
				}
			}
		}
		if a.Within(b) != (a.Minus(b).Count() == 0) || a.And(b).Count()+a.Minus(b).Count() != a.Count() {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

// BenchmarkAssign is a whole assignment to 100 members, of 1,000 partitions: anew, and after one member has come.
func BenchmarkAssign(b *testing.B) {
	for _, name := range []string{"uniform", "range"} {
		for _, same := range []bool{true, false} {
			g := large(100, same)
			b.Run(fmt.Sprintf("%s/homogeneous=%t/new", name, same), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Named(name)(g)
				}
			})
			owned := Named(name)(g)
			more := large(101, same)
			for m := range owned {
				more.Members[m].Owned = owned[m]
			}
			b.Run(fmt.Sprintf("%s/homogeneous=%t/joined", name, same), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Named(name)(more)
				}
			})
		}
	}
}

func large(members int, same bool) Group {
	var g Group
	var all []int32
	for i := range 10 {
		g.Topics, all = append(g.Topics, Topic{ID: id(i), Partitions: 100}), append(all, int32(i))
	}
	for i := range members {
		m := Member{ID: fmt.Sprintf("m%03d", i), Topics: all}
		if !same {
			m.Topics = all[:5+i%6]
		}
		g.Members = append(g.Members, m)
	}
	return g
}
