package group

import (
	"slices"
	"strings"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/metadata/image"
)

// subscribed is which topics members are subscribed to that exist.
type subscribed struct {
	topics []*image.Topic // by ID
	of     [][]int32      // by seat: indices of topics, in order
}

// topics finds out what members are subscribed to. Most members of a group are subscribed to the same: that is looked up once.
func (s *step) topics(seats []seat) subscribed {
	kinds := make(map[string]int)   // of subscriptions
	var wanted [][]*image.Topic     // of each kind
	kind := make([]int, len(seats)) // of each member
	for i, x := range seats {
		if i > 0 && slices.Equal(x.member.SubscribedTopicNames, seats[i-1].member.SubscribedTopicNames) &&
			plain(x.member.SubscribedTopicRegex) == plain(seats[i-1].member.SubscribedTopicRegex) {
			kind[i] = kind[i-1]
			continue
		}
		key := strings.Join(x.member.SubscribedTopicNames, "\x00") + "\x00\x00" + plain(x.member.SubscribedTopicRegex)
		k, ok := kinds[key]
		if !ok {
			k = len(wanted)
			kinds[key] = k
			wanted = append(wanted, s.wanted(x))
		}
		kind[i] = k
	}
	out := subscribed{of: make([][]int32, len(seats))}
	for _, w := range wanted {
		out.topics = append(out.topics, w...)
	}
	slices.SortFunc(out.topics, byID)
	out.topics = slices.Compact(out.topics)
	indices := make([][]int32, len(wanted))
	for k, w := range wanted {
		for _, t := range w {
			i, _ := slices.BinarySearchFunc(out.topics, t, byID)
			indices[k] = append(indices[k], int32(i))
		}
	}
	for i, k := range kind {
		out.of[i] = indices[k]
	}
	return out
}

func byID(a, b *image.Topic) int { return assign.Compare(a.ID, b.ID) }

// wanted are the topics that a member is subscribed to, by ID.
func (s *step) wanted(x seat) []*image.Topic {
	var out []*image.Topic
	for _, names := range [][]string{x.member.SubscribedTopicNames, s.pattern(plain(x.member.SubscribedTopicRegex))} {
		for _, name := range names {
			if t := s.topic(name); t != nil {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, byID)
	return slices.Compact(out)
}

// assignable are the topics as assignors see them.
func (s *step) assignable(t *subscribed) []assign.Topic {
	out := make([]assign.Topic, len(t.topics))
	for i, topic := range t.topics {
		out[i] = assign.Topic{ID: topic.ID, Partitions: int32(len(topic.Partitions))}
		if s.c.shares != nil {
			out[i].Ready = s.c.shares.at().begun(out[i])
		}
	}
	return out
}

// hash is a number for the topics, their partitions and the racks of these; 0 if there are none. It is compared with none but our own:
// a group that comes from another broker's log is assigned anew once.
func (t subscribed) hash(im *image.Image) int64 {
	h := uint64(14695981039346656037) // FNV-1a
	put := func(b byte) { h = (h ^ uint64(b)) * 1099511628211 }
	text := func(s string) {
		for i := range len(s) {
			put(s[i])
		}
		put(0)
	}
	for _, topic := range t.topics {
		for _, b := range topic.ID {
			put(b)
		}
		text(topic.Name)
		for _, p := range topic.Partitions {
			put(1)
			racks := make([]string, 0, 8)
			for _, id := range p.Replicas {
				if n := im.Node(id); n != nil && n.Rack != "" {
					racks = append(racks, n.Rack)
				}
			}
			slices.Sort(racks)
			for _, r := range racks {
				text(r)
			}
		}
	}
	if len(t.topics) == 0 {
		return 0
	}
	return int64(h | 1)
}
