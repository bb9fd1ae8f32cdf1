package controller

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// chance is a cluster to which anything happens that nodes, leaders and clients may do, in an order that a seed decides.
type chance struct {
	*world
	shadow
	rand   *rand.Rand
	down   map[model.BrokerID]bool // crashed and not registered since
	dirs   map[model.BrokerID]byte
	log    [][]byte       // the entries
	counts map[string]int // what happened
}

// TestRandomDecisions makes random decisions and checks after each that the image keeps the invariants (checkStep), and
// that new leaders hold what was acknowledged (shadow). In the end the log is replayed: the same image (M2).
func TestRandomDecisions(t *testing.T) {
	total := map[string]int{}
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newChance(t, seed)
			for range 400 {
				c.step()
			}
			c.replay()
			for what, n := range c.counts {
				total[what] += n
			}
		})
	}
	for _, what := range []string{"fence", "register", "wiped", "cut", "wait", "heartbeat", "stop", "expand", "shrink", "resign", "preferred", "unclean", "lossy",
		"reassign", "cancel", "completed", "balance", "config", "unregister", "topics", "promoted", "leaderless", "combined"} {
		if total[what] == 0 {
			t.Errorf("%s never happened", what)
		}
	}
	t.Log(total)
}

func newChance(t *testing.T, seed uint64) *chance {
	c := &chance{world: &world{t: t, image: image.New("cluster"), static: map[string]string{}}, rand: rand.New(rand.NewPCG(seed, 1)),
		shadow: shadow{parts: map[partitionRef]*shadowPartition{}}, counts: map[string]int{}, down: map[model.BrokerID]bool{}, dirs: map[model.BrokerID]byte{}}
	c.apply(FormCluster(c.inputs()))
	for id := model.BrokerID(1); id <= 5; id++ {
		c.down[id], c.dirs[id] = true, byte(id)
		c.register(id, nil, false)
		c.beat(id, false)
	}
	for _, name := range []string{"plain", "relaxed", "risky", "safe", "single"} {
		c.create(name)
	}
	return c
}

func (c *chance) inputs() Inputs {
	in := c.world.inputs()
	in.Live = func(id model.BrokerID) bool { return !c.down[id] }
	return in
}

// topics are the topics that exist at most, by what they demand.
var topics = map[string]map[string]string{"plain": nil, "safe": {"min.insync.replicas": "2"}, "relaxed": {"flush.messages": "100"},
	"risky": {"unclean.leader.election.enable": "true", "min.insync.replicas": "2"}, "single": nil}

func (c *chance) create(name string) {
	nt := NewTopic{Name: name, Partitions: 2, ReplicationFactor: 3}
	if name == "single" {
		nt.ReplicationFactor = 1
	}
	for _, v := range command.Values(topics[name]) {
		nt.Configs = append(nt.Configs, NewConfig{v.Name, &v.Value})
	}
	cs, _ := CreateTopics(c.inputs(), []NewTopic{nt}, false)
	c.apply(cs, nil)
}

// apply commits commands as an entry of the log; a refusal is fine.
func (c *chance) apply(cs []*command.Command, err error) bool {
	if err != nil || len(cs) == 0 {
		return false
	}
	entry, err := command.Encode("cluster", cs)
	if err != nil {
		c.t.Fatal(err)
	}
	before := c.image
	if out := c.commit(cs); out != "" {
		c.t.Fatalf("a decision does not fit its own image: %s", out)
	}
	c.log = append(c.log, entry)
	promoted, leaderless := c.check(c.t, before, c.image, c.unclean)
	c.counts["promoted"] += promoted
	c.counts["leaderless"] += leaderless
	c.counts["lossy"] += len(c.unclean)
	each(c.image, func(t *image.Topic, n int32, p *image.Partition) {
		if old := before.TopicByID(t.ID); old != nil && old.Partitions[n].Reassigning() && !p.Reassigning() {
			c.counts["completed"]++
		}
	})
	return true
}

func (c *chance) node() *image.Node {
	nodes := c.image.Nodes()
	return nodes[c.rand.IntN(len(nodes))]
}

// any returns a partition; nil if there is no topic.
func (c *chance) any() (*image.Topic, int32, *image.Partition) {
	list := slices.SortedFunc(c.image.Topics(), func(a, b *image.Topic) int { return cmp.Compare(a.Name, b.Name) })
	if len(list) == 0 {
		return nil, 0, nil
	}
	t := list[c.rand.IntN(len(list))]
	n := c.rand.IntN(len(t.Partitions))
	return t, int32(n), t.Partitions[n]
}

func (c *chance) step() {
	steps := []struct {
		weight int
		do     func()
	}{
		{160, c.writeOne}, {120, c.expand}, {20, c.shrink}, {10, c.crash}, {40, c.returnOne}, {20, c.fence}, {40, c.beatAll}, {3, c.stopOne},
		{6, c.resignOne}, {10, c.electOne}, {16, c.reassignOne}, {10, c.balanceAll}, {4, c.configure}, {2, c.forget}, {2, c.recreate}, {8, c.combine}, {2, c.powerLoss},
	}
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	at := c.rand.IntN(sum)
	for _, s := range steps {
		if at -= s.weight; at < 0 {
			s.do()
			return
		}
	}
}

func (c *chance) replay() {
	m := image.New("cluster")
	for _, entry := range c.log {
		cs, err := command.Decode("cluster", entry)
		if err != nil {
			c.t.Fatal(err)
		}
		if m, _, err = image.Apply(m, cs, 1, m.Index()+1); err != nil {
			c.t.Fatal(err)
		}
	}
	a, _ := image.EncodeSnapshot(m)
	b, _ := image.EncodeSnapshot(c.image)
	if !bytes.Equal(a, b) {
		c.t.Fatal("replaying the log leads to another image (M2)")
	}
}

func (c *chance) writeOne() {
	if t, n, _ := c.any(); t != nil {
		c.write(c.image, t, n, c.rand.IntN(3) > 0, c.down)
	}
}

// crash takes a node down; it is fenced later, or registers again before.
func (c *chance) crash() { c.down[c.node().ID] = true }

func (c *chance) powerLoss() {
	for _, n := range c.image.Nodes() {
		c.down[n.ID] = true
	}
}

// returnOne starts a node that is down. Its logs may have lost their ends, or it its disk.
func (c *chance) returnOne() {
	var stopped []model.BrokerID
	for id := model.BrokerID(1); id <= 5; id++ {
		if c.down[id] {
			stopped = append(stopped, id)
		}
	}
	if len(stopped) == 0 {
		return
	}
	id := stopped[c.rand.IntN(len(stopped))]
	var cuts []Cut
	clean := c.rand.IntN(2) == 0
	undo := c.snapshotLogs(id)
	if c.rand.IntN(15) == 0 {
		c.wipe(id)
		c.dirs[id] += 5
	} else if !clean {
		cuts = c.loseTails(id)
	}
	if c.register(id, cuts, clean) {
		delete(c.down, id)
		return
	}
	c.counts["wait"]++
	undo() // it did not start: what it will have lost is decided then
}

func (c *chance) snapshotLogs(id model.BrokerID) (undo func()) {
	dir := c.dirs[id]
	saved := map[*shadowPartition][]int{}
	for _, sp := range c.parts {
		if log, ok := sp.logs[id]; ok {
			saved[sp] = log
		}
	}
	return func() {
		c.dirs[id] = dir
		for sp, log := range saved {
			sp.logs[id] = log
		}
	}
}

// loseTails cuts some logs of a node. Those of relaxed topics are shorter without a word.
func (c *chance) loseTails(id model.BrokerID) (cuts []Cut) {
	for _, name := range []string{"plain", "relaxed", "risky", "safe", "single"} {
		t := c.image.Topic(name)
		if t == nil {
			continue
		}
		for n := range t.Partitions {
			if c.rand.IntN(2) == 0 {
				continue
			}
			end := c.of(t, int32(n)).cut(id, c.rand.IntN(4))
			if name != "relaxed" {
				cuts = append(cuts, Cut{Topic: t.ID, Partition: int32(n), End: end})
			}
		}
	}
	return cuts
}

func (c *chance) register(id model.BrokerID, cuts []Cut, clean bool) bool {
	r := Registration{ClusterID: "cluster", ID: id, Incarnation: image.UUID{byte(c.image.Index()), byte(c.image.Index() >> 8), 1}, Directory: image.UUID{c.dirs[id]},
		Features: c.inputs().Supported(), Follows: c.image.BrokerEpoch(id), CleanStop: clean, Cuts: cuts}
	old := c.image.Node(id)
	if !c.apply(RegisterNode(c.inputs(), r)) {
		return false
	}
	c.counts["register"]++
	c.counts["cut"] += len(cuts)
	if old != nil && old.Directory != r.Directory {
		c.counts["wiped"]++
	}
	return true
}

func (c *chance) fence() {
	var ids []model.BrokerID
	for _, n := range c.image.Nodes() {
		if c.down[n.ID] && !n.Fenced {
			ids = append(ids, n.ID)
		}
	}
	if c.apply(FenceNodes(c.inputs(), ids...)) {
		c.counts["fence"]++
	}
}

func (c *chance) beatAll() {
	for _, n := range c.image.Nodes() {
		c.beat(n.ID, false)
	}
}

func (c *chance) stopOne() { c.beat(c.node().ID, true) }

func (c *chance) beat(id model.BrokerID, stop bool) {
	n := c.image.Node(id)
	if c.down[id] {
		return
	}
	h := Heartbeat{ID: id, Epoch: n.Epoch, Applied: c.image.Index(), WantStop: stop || n.Stopping}
	cs, reply, err := HandleHeartbeat(c.inputs(), h)
	if c.apply(cs, err) {
		c.counts["heartbeat"]++
	}
	if now := c.image.Node(id); err == nil && (now.Fenced != reply.Fenced || now.Stopping != reply.Stopping) {
		c.t.Fatalf("the reply %+v, and the image says %+v", reply, *now)
	}
	if h.WantStop && reply.MayStop && c.rand.IntN(2) == 0 {
		c.counts["stop"]++
		h.Stopped = true
		cs, _, err := HandleHeartbeat(c.inputs(), h)
		c.apply(cs, err)
		c.down[id] = true
	}
}

// propose makes a leader propose an ISR.
func (c *chance) propose(t *image.Topic, n int32, isr []model.BrokerID) bool {
	p := t.Partitions[n]
	change := ISRChange{Topic: t.ID, Partition: n, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, id := range isr {
		epoch := int64(-1)
		if m := c.image.Node(id); m != nil {
			epoch = m.Epoch
		}
		change.ISR = append(change.ISR, Member{id, epoch})
	}
	cs, answers, err := AlterPartition(c.inputs(), p.Leader, c.image.Node(p.Leader).Epoch, []ISRChange{change})
	if !c.apply(cs, err) {
		return false
	}
	if now := c.image.TopicByID(t.ID).Partitions[n]; answers[0].Err == nil && fmt.Sprint(answers[0].State) != fmt.Sprint(*now) {
		c.t.Fatalf("answered %+v, and the image says %+v", answers[0].State, *now)
	}
	return true
}

// expand lets a replica catch up and join the ISR.
func (c *chance) expand() {
	t, n, p := c.any()
	if t == nil || p.Leader == model.NoBroker || c.down[p.Leader] {
		return
	}
	id := p.Replicas[c.rand.IntN(len(p.Replicas))]
	if c.down[id] || c.image.Node(id) == nil || slices.Contains(p.ISR, id) {
		return
	}
	c.copyTo(t, n, id)
	if c.propose(t, n, append(slices.Clone(p.ISR), id)) {
		c.counts["expand"]++
	}
}

func (c *chance) shrink() {
	t, n, p := c.any()
	if t == nil || p.Leader == model.NoBroker || c.down[p.Leader] || len(p.ISR) < 2 {
		return
	}
	isr := slices.DeleteFunc(slices.Clone(p.ISR), func(id model.BrokerID) bool { return id != p.Leader && c.rand.IntN(2) == 0 })
	if c.propose(t, n, isr) {
		c.counts["shrink"]++
	}
}

func (c *chance) resignOne() {
	t, n, p := c.any()
	if t == nil || p.Leader == model.NoBroker || c.down[p.Leader] {
		return
	}
	cs, _, err := Resign(c.inputs(), p.Leader, c.image.Node(p.Leader).Epoch, []Resignation{{t.ID, n, p.LeaderEpoch, c.rand.IntN(2) == 0}})
	if c.apply(cs, err) {
		c.counts["resign"]++
	}
}

func (c *chance) electOne() {
	t, n, _ := c.any()
	if t == nil {
		return
	}
	kind, what := PreferredElection, "preferred"
	if c.rand.IntN(3) == 0 {
		kind, what = UncleanElection, "unclean"
	}
	var list []model.TopicPartition
	if c.rand.IntN(2) == 0 {
		list = []model.TopicPartition{{Topic: t.Name, Partition: n}}
	}
	cs, _, err := ElectLeaders(c.inputs(), kind, list)
	if c.apply(cs, err) {
		c.counts[what]++
	}
}

func (c *chance) reassignOne() {
	t, n, p := c.any()
	if t == nil {
		return
	}
	r := Reassignment{TopicPartition: model.TopicPartition{Topic: t.Name, Partition: n}}
	what := "cancel"
	if !p.Reassigning() || c.rand.IntN(3) > 0 {
		what = "reassign"
		nodes := slices.Clone(c.image.Nodes())
		c.rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for _, node := range nodes[:c.rand.IntN(len(nodes))+1] {
			r.Replicas = append(r.Replicas, node.ID)
		}
	}
	cs, errs := AlterPartitionReassignments(c.inputs(), []Reassignment{r}, true)
	if c.apply(cs, errs[0]) {
		c.counts[what]++
	}
}

func (c *chance) balanceAll() {
	cs, _, err := BalanceLeaders(c.inputs(), 1+c.rand.IntN(3))
	if c.apply(cs, err) {
		c.counts["balance"]++
	}
	c.apply(ElectLeaderless(c.inputs()))
}

func (c *chance) configure() {
	value := strconv.Itoa(1 + c.rand.IntN(3))
	r := Incremental{Resource: Resource{Type: BrokerResource}, Ops: []ConfigOp{{"min.insync.replicas", config.OpSet, &value}}}
	if t, _, _ := c.any(); t != nil && c.rand.IntN(2) == 0 {
		r.Resource = Resource{Type: TopicResource, Name: t.Name}
	}
	cs, errs := IncrementalAlterConfigs(c.inputs(), []Incremental{r}, false)
	if c.apply(cs, errs[0]) {
		c.counts["config"]++
	}
}

func (c *chance) forget() {
	if id := c.node().ID; len(c.image.Nodes()) > 3 && c.apply(UnregisterBroker(c.inputs(), id)) {
		c.counts["unregister"]++
		c.down[id] = true
		c.wipe(id)
	}
}

// recreate deletes a topic and creates it again, or only the one when the other does not work.
func (c *chance) recreate() {
	if t, _, _ := c.any(); t != nil {
		cs, _ := DeleteTopics(c.inputs(), []TopicRef{{Name: t.Name}})
		c.apply(cs, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if c.image.Topic(name) == nil {
			c.create(name)
			c.counts["topics"]++
		}
	}
}

// combine makes decisions about the same partitions that share an entry.
func (c *chance) combine() {
	id := c.node().ID
	cs, errs := Combine(c.inputs(),
		func(in Inputs) ([]*command.Command, error) { cs, _, err := BalanceLeaders(in, 2); return cs, err },
		func(in Inputs) ([]*command.Command, error) {
			if c.down[id] {
				return FenceNodes(in, id)
			}
			return nil, nil
		},
		func(in Inputs) ([]*command.Command, error) {
			cs, _, err := ElectLeaders(in, PreferredElection, nil)
			return cs, err
		},
	)
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		c.t.Fatal(errs[i])
	}
	if c.apply(cs, nil) {
		c.counts["combined"]++
	}
}
