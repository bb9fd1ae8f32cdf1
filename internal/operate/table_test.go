package operate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"chronik/internal/operate"
)

// TestReportText: the verdict is the first line, then what to do, then who is there.
func TestReportText(t *testing.T) {
	v := view(3, on(1, 2, 3), on(2, 3, 1))
	v.Nodes[0].Rack = "a"
	fence(v, 2)
	v.Partitions[1].Adding = on(1)
	v.Partitions[0].ELR = on(2)
	v.Quorum.Observers = []operate.Follower{{Node: 9, LogEnd: 4, Heard: start.Add(-time.Second)}}
	var b strings.Builder
	if err := operate.NewReport(v).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, want := range []string{
		"Cluster c is DEGRADED:",
		"  ! node 2 (h2:9092) is out of service; it holds 2 replicas and a vote on the metadata: if one more voter fails, the cluster can elect no leaders and change nothing. To do: start it, or if it is gone for good: chronik cluster remove-node 2",
		"",
		"NODE  ADDRESS  RACK  STATE           LEADERS  REPLICAS  METADATA",
		"1     h1:9092  a     active          1        2         controller",
		"2     h2:9092  -     OUT OF SERVICE  0        2         voter, silent for 1m0s",
		"3     h3:9092  -     active          1        2         voter",
		"9     -        -     not registered  0        0         learner, 6 behind",
		"",
		"Metadata: controller 1, epoch 0, 3 voters, 1 learner, 10 committed",
		"Partitions: 2 in 1 topic; 0 offline, 0 under min ISR, 2 under-replicated, 1 with ELR",
		"Reassignments under way: 1",
		"  t-1: adding [1], removing [], in sync [3 1]",
	} {
		if i >= len(got) || got[i] != want {
			t.Fatalf("line %d is not %q:\n%s", i, want, b.String())
		}
	}
}

// TestReportJSON: programs find lists, never null.
func TestReportJSON(t *testing.T) {
	text, err := json.Marshal(operate.NewReport(view(1)))
	if err != nil || strings.Contains(string(text), "null") || !strings.Contains(string(text), `"healthy":true`) {
		t.Errorf("%s, %v", text, err)
	}
}
