package group

import (
	"slices"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// roster is what follows from a group's members and what they have. Applied records keep it; it is made anew when it is asked for after
// a load, or when the log has refused something.
type roster struct {
	ids       []string // in order; nil: to be sorted
	owners    map[partition]string
	instances map[string]string // static members
	names     map[string]int    // of topics, how many members name them
	patterns  map[string]int    // how many members have them
	assignors map[string]int    // how many members prefer them
	shared    bool              // nobody owns partitions alone: of a share group
	classic   int               // members that speak the classic protocol
	protocols map[string]int    // how many of those have it
}

// partition is one of a topic that may have been deleted.
type partition struct {
	topic  model.TopicID
	number int32
}

// roster returns the group's.
func (c *consumer) roster() *roster {
	if c.index == nil {
		r := &roster{
			owners: make(map[partition]string), instances: make(map[string]string), names: make(map[string]int),
			patterns: make(map[string]int), assignors: make(map[string]int), protocols: make(map[string]int),
			shared: c.shares != nil,
		}
		for id, mem := range c.members.All() {
			r.count(id, mem, 1)
		}
		for id, cur := range c.current.All() {
			r.own(id, cur)
		}
		c.index = r
	}
	if c.index.ids == nil {
		c.index.ids = make([]string, 0, c.members.Len())
		for id := range c.members.All() {
			c.index.ids = append(c.index.ids, id)
		}
		slices.Sort(c.index.ids)
	}
	return c.index
}

// count adds or takes away what a member says of itself; nil says nothing.
func (r *roster) count(id string, mem *schema.ConsumerGroupMember, n int) {
	if mem == nil {
		return
	}
	for _, name := range mem.SubscribedTopicNames {
		add(r.names, name, n)
	}
	if p := mem.SubscribedTopicRegex; p != nil && *p != "" {
		add(r.patterns, *p, n)
	}
	if a := mem.ServerAssignor; a != nil {
		add(r.assignors, *a, n)
	}
	if i := mem.InstanceID; i != nil && n > 0 {
		r.instances[*i] = id
	} else if i != nil && r.instances[*i] == id {
		delete(r.instances, *i)
	}
	if cl := mem.ClassicMemberMetadata; cl != nil {
		r.classic += n
		for i := range cl.SupportedProtocols {
			add(r.protocols, cl.SupportedProtocols[i].Name, n)
		}
	}
}

func add(m map[string]int, key string, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

func (r *roster) own(id string, cur *current) {
	if r.shared {
		return
	}
	for t, n := range cur.assigned.All() {
		r.owners[partition{t, n}] = id
	}
	for t, n := range cur.revoking.All() {
		r.owners[partition{t, n}] = id
	}
}

func (r *roster) disown(id string, cur *current) {
	for _, h := range []*held{&cur.assigned, &cur.revoking} {
		for t, n := range h.All() {
			if p := (partition{t, n}); r.owners[p] == id {
				delete(r.owners, p)
			}
		}
	}
}
