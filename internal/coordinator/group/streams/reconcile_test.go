package streams

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// client is a member and what it runs: it learns of what it is given with the next answer that reaches it, and stops what it
// is not given any more some time later.
type client struct {
	Member
	held          Held
	target        Tasks
	active, other map[TaskID]bool // that it runs
	heard         bool            // it has heard of what it is given
}

// group is members, their target and the epoch.
type group struct {
	t       *testing.T
	rand    *rand.Rand
	s       []Subtopology
	clients map[string]*client
	epoch   int32
	made    int
}

// others is all members but one.
type others struct {
	g    *group
	self string
}

func (o others) each(f func(*client) bool) bool {
	for id, c := range o.g.clients {
		if id != o.self && f(c) {
			return true
		}
	}
	return false
}

func (o others) Active(t TaskID) bool {
	return o.each(func(c *client) bool { _, ok := c.held.Active[t]; _, giving := c.held.Revoking[t]; return ok || giving })
}

func (o others) InProcess(t TaskID, p string) bool {
	return o.each(func(c *client) bool { return c.Process == p && slices.Contains(c.held.Tasks(), t) })
}

// TestReconcile: members come, go, are slow and lose answers; no task is ever run as active by two of them, nor run twice in a process; when
// nobody comes or goes any more, all have what they are to have.
func TestReconcile(t *testing.T) {
	for seed := range uint64(400) {
		g := &group{t: t, rand: rand.New(rand.NewPCG(seed, 0)), clients: make(map[string]*client)}
		g.s = []Subtopology{{ID: "0", Tasks: 1 + g.rand.Int32N(5), Stateful: true}, {ID: "1", Tasks: 1 + g.rand.Int32N(4)}}
		for range 80 {
			if g.rand.IntN(10) == 0 {
				g.change()
			}
			g.heartbeat(g.rand.IntN(3) > 0)
			g.check(seed)
		}
		for id, c := range g.clients { // what is loaded is what was written
			back := FromRecord(c.held.Record(1))
			if diff := cmp.Diff(c.held.Record(1), back.Record(1)); diff != "" {
				t.Fatalf("seed %d: %s: %s", seed, id, diff)
			}
			c.held = back
		}
		for range 40 * len(g.clients) {
			g.heartbeat(true)
			g.check(seed)
		}
		for id, c := range g.clients {
			if c.held.State != Stable || c.held.Epoch != g.epoch || !maps.Equal(c.active, set(c.target.Active)) || !maps.Equal(c.other, set(c.target.Standby)) {
				t.Fatalf("seed %d: %s is %+v in epoch %d, runs %v and %v, target %+v", seed, id, c.held, g.epoch, c.active, c.other, c.target)
			}
		}
	}
}

// change is a member that comes or goes; one that goes has stopped its tasks.
func (g *group) change() {
	ids := sorted(g.clients)
	if len(ids) > 0 && g.rand.IntN(2) == 0 {
		delete(g.clients, ids[g.rand.IntN(len(ids))])
	} else {
		g.made++
		c := &client{Member: Member{ID: fmt.Sprint(g.made), Process: fmt.Sprint(g.rand.IntN(3))}, held: Held{State: Stable}}
		g.clients[c.ID] = c
	}
	var members []Member
	for _, c := range g.clients {
		m := c.Member
		m.Active, m.Standby = c.target.Active, c.target.Standby
		members = append(members, m)
	}
	g.epoch++
	for id, x := range Assign(g.s, members, 1) {
		g.clients[id].target = x
	}
}

func (g *group) heartbeat(arrives bool) {
	ids := sorted(g.clients)
	if len(ids) == 0 {
		return
	}
	c := g.clients[ids[g.rand.IntN(len(ids))]]
	var owned Owned
	if c.heard && g.rand.IntN(2) == 0 { // it has stopped what it was to give up
		maps.DeleteFunc(c.active, func(t TaskID, _ bool) bool { _, ok := c.held.Active[t]; return !ok })
		maps.DeleteFunc(c.other, func(t TaskID, _ bool) bool { return !c.held.Standby[t] })
	}
	if g.rand.IntN(4) > 0 {
		owned = Owned{}
		maps.Copy(owned, c.active)
		maps.Copy(owned, c.other)
	}
	was := c.held
	c.held = Reconcile(c.held, c.Process, c.target, g.epoch, owned, others{g, c.ID})
	if c.held.Epoch < was.Epoch || c.held.Epoch > g.epoch {
		g.t.Fatalf("%s goes from epoch %d to %d, the group's is %d", c.ID, was.Epoch, c.held.Epoch, g.epoch)
	}
	if c.heard = arrives; arrives {
		c.run()
	}
}

// run starts what the member is given; what it is not any more goes on for a while.
func (c *client) run() {
	if c.active == nil {
		c.active, c.other = make(map[TaskID]bool), make(map[TaskID]bool)
	}
	for t := range c.held.Active {
		c.active[t] = true
	}
	maps.Copy(c.other, c.held.Standby)
}

func (g *group) check(seed uint64) {
	active, process := make(map[TaskID]string), make(map[string]bool)
	for id, c := range g.clients {
		for t := range c.active {
			if active[t] != "" {
				g.t.Fatalf("seed %d: %v is active on %s and %s", seed, t, active[t], id)
			}
			active[t] = id
		}
		mine := maps.Clone(c.active)
		for t := range c.other {
			if mine[t] {
				continue // it becomes active where it was a standby, or the other way round
			}
			if mine == nil {
				mine = make(map[TaskID]bool)
			}
			mine[t] = true
		}
		for t := range mine {
			at := fmt.Sprint(c.Process, t)
			if process[at] {
				g.t.Fatalf("seed %d: process %s runs %v twice", seed, c.Process, t)
			}
			process[at] = true
		}
	}
}
