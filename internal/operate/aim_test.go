package operate_test

import (
	"strings"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/operate"
)

// TestRemoveNodeSteps: what comes next depends on what is seen, and on nothing else.
func TestRemoveNodeSteps(t *testing.T) {
	away := on(1, 2, 4)
	for _, tc := range []struct {
		name string
		view func() *operate.View
		act  operate.Act
		says string
	}{
		{"it holds something", func() *operate.View { return view(4, on(1, 2, 3)) }, operate.Move, "1 replica on node 3"},
		{"it is being moved away", func() *operate.View {
			v := view(4, on(1, 2, 4, 3))
			v.Partitions[0].Adding, v.Partitions[0].Removing, v.Partitions[0].ISR = on(4), on(3), on(1, 2, 3)
			return v
		}, operate.Wait, "waiting for node 4 to catch up with 1"},
		{"the new node is gone", func() *operate.View {
			v := view(4, on(1, 2, 4, 3))
			v.Partitions[0].Adding, v.Partitions[0].Removing = on(4), on(3)
			fence(v, 4)
			return v
		}, operate.Refuse, "start node 4"},
		{"the new node is gone, there is another", func() *operate.View {
			v := view(5, on(1, 2, 4, 3))
			v.Partitions[0].Adding, v.Partitions[0].Removing = on(4), on(3)
			fence(v, 4)
			return v
		}, operate.Move, "1 partition to move, 1 under way"},
		{"one of somebody else's waits for a node that is gone", func() *operate.View {
			v := view(5, on(1, 3, 2), on(1, 2, 4))
			v.Partitions[1].Adding, v.Partitions[1].ISR = on(4), on(1, 2)
			fence(v, 4)
			return v
		}, operate.Move, "under way"},
		{"nobody else has room", func() *operate.View { return view(3, on(1, 2, 3)) }, operate.Refuse, "without it 2 nodes are in service: add a node first"},
		{"another node is out", func() *operate.View { v := view(4, on(1, 2, 3)); fence(v, 4); return v }, operate.Refuse, "start node 4"},
		{"it alone has the records", func() *operate.View { v := view(4, on(3)); fence(v, 3); return v }, operate.Refuse, "node 3 alone holds all that was acknowledged in 1 partition (t-0)"},
		{"it is dead, others have the records", func() *operate.View { v := view(4, on(3, 2, 1)); fence(v, 3); return v }, operate.Move, ""},
		{"only the vote is left", func() *operate.View { return view(4, away) }, operate.RemoveVoter, "loses its vote"},
		{"the others are too few", func() *operate.View { v := view(4, away); fence(v, 1); fence(v, 2); return v }, operate.Refuse, "only 1 can be reached, and 2 are needed"},
		{"it is the only voter", func() *operate.View { v := view(3, on(1)); v.Quorum.Voters = v.Quorum.Voters[2:]; return v }, operate.Refuse, "only voter"},
		{"it still runs", func() *operate.View {
			v := view(4, away)
			v.Quorum.Voters = v.Quorum.Voters[:2]
			return v
		}, operate.Wait, "stop it now"},
		{"it is stopped and never voted", func() *operate.View {
			v := view(4, away)
			fence(v, 3)
			v.Quorum.Observers = v.Quorum.Voters[2:3:3]
			v.Quorum.Voters = v.Quorum.Voters[:2:2]
			return v
		}, operate.RemoveVoter, "the metadata quorum forgets it"},
		{"it is stopped", func() *operate.View {
			v := view(4, away)
			fence(v, 3)
			v.Quorum.Voters = v.Quorum.Voters[:2]
			return v
		}, operate.Unregister, "forgets"},
		{"it is gone", func() *operate.View { return view(2, on(1, 2)) }, operate.Done, "not part"},
	} {
		s := operate.RemoveNode{ID: 3, Limit: 5}.Next(tc.view())
		if s.Act != tc.act || !strings.Contains(s.Say, tc.says) {
			t.Errorf("%s: act %d %q, want %d and %q", tc.name, s.Act, s.Say, tc.act, tc.says)
		}
	}
}

// TestAddNodeSteps: registered, in service, voting, and then its share.
func TestAddNodeSteps(t *testing.T) {
	aim := operate.AddNode{ID: 4, Voter: true, Rebalance: operate.Rebalance{Limit: 1}}
	v := view(3, on(1, 2, 3), on(2, 3, 1), on(3, 1, 2), on(1, 2, 3))
	expect := func(name string, act operate.Act) {
		t.Helper()
		if s := aim.Next(v); s.Act != act {
			t.Errorf("%s: act %d %q, want %d", name, s.Act, s.Say, act)
		}
	}
	expect("not registered", operate.Wait)
	v.Nodes = append(v.Nodes, operate.Node{ID: 4, Fenced: true})
	expect("out of service", operate.Wait)
	v.Node(4).Fenced = false
	expect("not a follower", operate.Wait)
	v.Quorum.Observers = []operate.Follower{{Node: 4, Heard: start}}
	expect("a follower", operate.AddVoter)
	v.Quorum.Voters = append(v.Quorum.Voters, operate.Follower{Node: 4, Heard: start})
	expect("a voter", operate.Move)
}

// TestJudge: each trouble is one line that says what to do.
func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name  string
		make  func() *operate.View
		kinds string
		what  string
		do    string
	}{
		{"nothing", twelve, "", "", ""},
		{"a reassignment is no trouble", func() *operate.View {
			v := view(4, on(1, 2, 4, 3))
			v.Partitions[0].Adding, v.Partitions[0].Removing, v.Partitions[0].ISR = on(4), on(3), on(1, 2, 3)
			return v
		}, "", "", ""},
		{"a node is gone", func() *operate.View { v := twelve(); fence(v, 2); return v }, "node-out-of-service",
			"node 2 (h2:9092) is out of service; it holds 9 replicas and a vote on the metadata: if one more voter fails", "chronik cluster remove-node 2"},
		{"two nodes are gone", func() *operate.View { v := view(5, on(1, 2, 3)); fence(v, 2); fence(v, 3); return v },
			"under-min-isr node-out-of-service node-out-of-service", "1 partition (t-0): fewer replicas", "bring back node 2, node 3"},
		{"the last member is gone", func() *operate.View { v := view(4, on(2)); fence(v, 2); return v }, "offline-partitions node-out-of-service",
			"1 partition (t-0): no leader", "start node 2: there is all that was acknowledged"},
		{"an eligible one is gone", func() *operate.View {
			v := view(3, on(2, 3))
			v.Partitions[0].Leader, v.Partitions[0].ISR, v.Partitions[0].ELR = model.NoBroker, on(2), on(3)
			return v
		}, "offline-partitions", "no leader", "start node 2 or node 3"},
		{"every copy is gone", func() *operate.View {
			v := view(3, on(2))
			v.Partitions[0].Leader, v.Partitions[0].ISR = model.NoBroker, nil
			return v
		}, "offline-partitions", "no leader", "restore them"},
		{"a replica is behind", func() *operate.View { v := view(3, on(1, 2, 3)); v.Partitions[0].ISR = on(1, 2); return v }, "under-replicated", "the replica on node 3 is behind", "its disk"},
		{"a node was forgotten", func() *operate.View { v := view(2, on(1, 2, 3)); v.Partitions[0].ISR = on(1, 2); return v }, "node-unknown", "1 replica is still assigned", "remove-node 3"},
		{"a voter was never heard", func() *operate.View { v := view(3); v.Quorum.Voters[2].Heard = time.Time{}; return v }, "voter-silent", "was not heard of since", "start it"},
	} {
		problems := operate.Judge(tc.make())
		var kinds []string
		for _, p := range problems {
			kinds = append(kinds, p.Kind)
		}
		if got := strings.Join(kinds, " "); got != tc.kinds {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.kinds)
			continue
		}
		if len(problems) > 0 && (!strings.Contains(problems[0].What, tc.what) || !strings.Contains(problems[0].Do, tc.do)) {
			t.Errorf("%s: %q, %q; want %q, %q", tc.name, problems[0].What, problems[0].Do, tc.what, tc.do)
		}
	}
}
