package controller

import (
	"slices"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// nodesIn returns nodes 1, 2, ... in the racks.
func nodesIn(racks ...string) []*image.Node {
	list := make([]*image.Node, len(racks))
	for i, r := range racks {
		list[i] = &image.Node{ID: model.BrokerID(i + 1), Rack: r}
	}
	return list
}

// Leaders and replicas are spread evenly, and a partition stands in as many racks as it can.
func TestPlacementIsEvenOverNodesAndRacks(t *testing.T) {
	for _, c := range []struct {
		racks     []string
		rf, slack int // slack: what the fullest node may have more than the emptiest, in percent
	}{
		{[]string{"", "", ""}, 3, 0}, {[]string{"", "", "", "", ""}, 3, 1}, {[]string{"a", "b", "c"}, 3, 0},
		{[]string{"a", "a", "b", "b", "c", "c"}, 3, 5}, {[]string{"a", "a", "b", "b", "c", "c"}, 2, 5},
		{[]string{"a", "b", "a", "b", "a", "b", "c", "c", "c"}, 3, 5}, {[]string{"a", "a", "a", "b", "b", "b"}, 3, 10}, {[]string{"a", "a", "b", ""}, 2, 60},
	} {
		nodes := nodesIn(c.racks...)
		distinct := map[string]bool{}
		for _, n := range nodes {
			distinct[rackOf(n)] = true
		}
		replicas, leaders := make([]int, len(nodes)+1), make([]int, len(nodes)+1)
		for _, a := range ringOf(nodes).place(7, 0, 6000, c.rf) {
			racks := map[string]bool{}
			for _, id := range a.Replicas {
				racks[rackOf(nodes[id-1])] = true
				replicas[id]++
			}
			leaders[a.Leader]++
			if len(racks) != min(c.rf, len(distinct)) || len(a.Replicas) != c.rf || a.Leader != a.Replicas[0] || a.Isr != nil {
				t.Fatalf("racks %v, rf %d: %+v stands in %d racks", c.racks, c.rf, a, len(racks))
			}
		}
		for what, n := range map[string][]int{"leaders": leaders[1:], "replicas": replicas[1:]} {
			if hi, lo := slices.Max(n), slices.Min(n); what == "leaders" && hi-lo > 1 || (hi-lo)*100 > c.slack*lo+100 {
				t.Errorf("racks %v, rf %d: %s per node are %v", c.racks, c.rf, what, n)
			}
		}
	}
}

// A node that is not there holds replicas only where the others do not suffice, and never leads.
func TestPlacementUsesOthersAsALastResort(t *testing.T) {
	nodes := nodesIn("", "", "", "")
	nodes[1].Fenced, nodes[3].Stopping = true, true
	r := ringOf(nodes)
	for _, a := range r.place(0, 0, 10, 2) {
		if slices.Contains(a.Replicas, 2) || slices.Contains(a.Replicas, 4) {
			t.Errorf("%v, although two nodes are active", a.Replicas)
		}
	}
	for _, a := range r.place(0, 0, 10, 4) {
		isr := slices.Sorted(slices.Values(a.Isr))
		if !slices.Equal(isr, []int32{1, 3}) || a.Leader != a.Isr[0] || len(a.Replicas) != 4 {
			t.Errorf("%+v", a)
		}
	}
}

// clusterOf returns a cluster with nodes in service and topics placed by the controller.
func clusterOf(t testing.TB, racks []string, topics ...NewTopic) *world {
	w := &world{t: t, image: image.New("cluster"), static: map[string]string{}}
	cs, err := FormCluster(w.inputs())
	w.must(cs, err)
	for i, rack := range racks {
		w.join(model.BrokerID(i+1), rack)
	}
	cs, answers := CreateTopics(w.inputs(), topics, false)
	for _, a := range answers {
		w.must(nil, a.Err)
	}
	w.must(cs, nil)
	return w
}

func (w *world) join(id model.BrokerID, rack string) {
	r := Registration{ClusterID: "cluster", ID: id, Incarnation: image.UUID{byte(id), 1}, Directory: image.UUID{byte(id)}, Rack: rack, Follows: w.image.BrokerEpoch(id), Features: w.inputs().Supported()}
	w.must(RegisterNode(w.inputs(), r))
	w.must(UnfenceNode(w.inputs(), id, w.image.Node(id).Epoch))
}

func (w *world) must(cs []*command.Command, err error) {
	if err != nil {
		w.t.Fatal(err)
	}
	if out := w.commit(cs); out != "" {
		w.t.Fatal(out)
	}
}

// rebalance carries a plan out step by step: every replica that is added catches up at once.
func (w *world) rebalance(r Rebalance) (moves int) {
	for step := 0; ; step++ {
		plan := PlanRebalance(LayoutOf(w.image), r)
		if len(plan.Moves) > max(1, r.Limit) {
			w.t.Fatalf("%d moves at a time, the limit is %d", len(plan.Moves), r.Limit)
		}
		if plan.Done() || step == 10_000 {
			return moves
		}
		moves += len(plan.Moves)
		cs, errs := AlterPartitionReassignments(w.inputs(), plan.Moves, true)
		for _, err := range errs {
			if err != nil {
				w.t.Fatal(err)
			}
		}
		w.must(cs, nil)
		for _, o := range ListPartitionReassignments(w.image, nil) {
			topic, p := w.image.Topic(o.Topic), w.image.Topic(o.Topic).Partitions[o.Partition]
			c := ISRChange{Topic: topic.ID, Partition: o.Partition, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
			for _, id := range p.Replicas {
				c.ISR = append(c.ISR, Member{id, -1})
			}
			cs, _, err := AlterPartition(w.inputs(), p.Leader, w.image.Node(p.Leader).Epoch, []ISRChange{c})
			w.must(cs, err)
		}
	}
}

// loads counts replicas and preferred leaders per node.
func (w *world) loads() (replicas, leaders load) {
	replicas, leaders = load{}, load{}
	each(w.image, func(_ *image.Topic, _ int32, p *image.Partition) {
		for _, id := range p.Replicas {
			replicas[id]++
		}
		leaders[p.Replicas[0]]++
	})
	return replicas, leaders
}

func (l load) gap(ids ...model.BrokerID) int {
	lo, hi := l[ids[0]], l[ids[0]]
	for _, id := range ids {
		lo, hi = min(lo, l[id]), max(hi, l[id])
	}
	return hi - lo
}

func TestRebalanceFillsAnAddedNode(t *testing.T) {
	w := clusterOf(t, []string{"a", "b", "c"}, NewTopic{Name: "t", Partitions: 30, ReplicationFactor: 3}, NewTopic{Name: "u", Partitions: 7, ReplicationFactor: 2})
	w.join(4, "a")
	moves := w.rebalance(Rebalance{Limit: 4})
	replicas, leaders := w.loads()
	// Node 4 shares rack a with node 1: only replicas of node 1 may go there, or those of partitions that stand in one rack twice.
	if replicas.gap(1, 4) > 1 || leaders.gap(1, 2, 3, 4) > 3 {
		t.Errorf("after %d moves: replicas %v, leaders %v", moves, replicas, leaders)
	}
	each(w.image, func(topic *image.Topic, n int32, p *image.Partition) {
		if len(p.Replicas) == 3 && slices.Contains(p.Replicas, 1) && slices.Contains(p.Replicas, 4) {
			t.Errorf("%s-%d stands in rack a twice: %v", topic.Name, n, p.Replicas)
		}
	})
	if again := w.rebalance(Rebalance{Limit: 4}); again != 0 {
		t.Errorf("%d moves more, nothing has changed", again)
	}
}

func TestRebalanceDrainsANode(t *testing.T) {
	w := clusterOf(t, []string{"", "", "", "", ""}, NewTopic{Name: "t", Partitions: 40, ReplicationFactor: 3})
	w.rebalance(Rebalance{Drain: []model.BrokerID{2}, Limit: 7})
	replicas, leaders := w.loads()
	if replicas[2] != 0 || replicas.gap(1, 3, 4, 5) > 1 || leaders.gap(1, 3, 4, 5) > 1 {
		t.Errorf("replicas %v, leaders %v", replicas, leaders)
	}
	w.must(FenceNodes(w.inputs(), 2))
	w.must(UnregisterBroker(w.inputs(), 2))
	w.rebalance(Rebalance{Drain: []model.BrokerID{3}, Limit: 7})
	plan := PlanRebalance(LayoutOf(w.image), Rebalance{Drain: []model.BrokerID{1, 3}, Limit: 7})
	if len(plan.Stuck) == 0 || !plan.Done() {
		t.Errorf("two nodes cannot hold three replicas: %+v", plan)
	}
}

// M4: an internal topic begins with as many replicas as there are nodes, and gets the rest when they are there.
func TestM4InternalTopicsAreRaised(t *testing.T) {
	name, two := "__consumer_offsets", "2"
	w := clusterOf(t, []string{""}, NewTopic{Name: name, Partitions: 5, ReplicationFactor: 3, Internal: true, Configs: []NewConfig{{minISRKey, &two}}})
	if rf := w.image.Topic(name).ReplicationFactor(); rf != 1 {
		t.Fatalf("%d replicas on one node", rf)
	}
	for id := model.BrokerID(2); id <= 4; id++ {
		w.join(id, "")
		w.rebalance(Rebalance{Internal: map[string]int{name: 3}, Limit: 100})
		if rf := w.image.Topic(name).ReplicationFactor(); rf != int(min(id, 3)) {
			t.Errorf("%d replicas on %d nodes", rf, id)
		}
	}
	if replicas, _ := w.loads(); replicas.gap(1, 2, 3, 4) > 1 {
		t.Errorf("replicas %v", replicas)
	}
}

// A drain alone moves what is on the drained node, and nothing between the others.
func TestDrainOnly(t *testing.T) {
	w := clusterOf(t, []string{"", "", "", ""}, NewTopic{Name: "t", Partitions: 12, ReplicationFactor: 3})
	w.join(5, "")
	before := LayoutOf(w.image)
	w.rebalance(Rebalance{Drain: []model.BrokerID{2}, DrainOnly: true, Limit: 3})
	for i, p := range LayoutOf(w.image).Partitions {
		was := before.Partitions[i].Replicas
		if on := slices.Index(was, 2); on < 0 && !slices.Equal(p.Replicas, was) || slices.Contains(p.Replicas, 2) {
			t.Errorf("%s had %v and has %v", p.TopicPartition, was, p.Replicas)
		}
	}
}
