package verify_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
	"chronik/internal/verify"
	"chronik/internal/verify/history"
)

// TestLeaderDies runs all kinds of producers and consumers against three nodes of which the leader loses its power, and comes back.
func TestLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, map[string]string{"min.insync.replicas": "2"})
		run, err := verify.Start(t.Context(), verify.Options{
			Brokers: []string{"n1:9092", "n2:9092", "n3:9092"}, Client: []kgo.Opt{kgo.Dialer(c.Dial)},
			Partitions: 2, Replication: 3, Rate: 200,
			Producers: []verify.Producer{verify.Idempotent, verify.OneByOne, verify.Plain, verify.LeaderOnly, verify.Once},
			Consumers: []verify.Consumer{{}, {Restart: 3 * time.Second}, {Rack: "a"}, {Rack: "b", Restart: 4 * time.Second}}, // no node is in a rack: from the leader
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(5 * time.Second)
			dead := leader(t, c, run.Topic())
			killed := time.Now()
			c.Kill(dead)
			gap, err := run.Await(t.Context(), 0, killed)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("node %d died: %v without an acknowledged write", dead, gap.To.Sub(gap.From))
			if d := gap.To.Sub(killed); gap.Open || d < history.Resolution || d > 10*time.Second {
				t.Errorf("the next write was acknowledged %v after the leader's death", d)
			}
			time.Sleep(3 * time.Second)
			c.Run(dead)
		}
		report, err := run.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report)
		if !report.OK() {
			t.Error("a promise was broken")
		}
		n := report.Counts
		if n.Acked < 1000 || n.Read < n.Acked-report.Count(history.LostByLeader) || n.Polled < 4*(n.Acked-report.Count(history.LostByLeader)) {
			t.Errorf("too little was looked at: %+v", n)
		}
	})
}

// leader is the node that leads the topic's first partition.
func leader(t *testing.T, c *testcluster.Cluster, topic string) int {
	cl := c.Client()
	defer cl.Close()
	m, err := kadm.NewClient(cl).Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(m.Topics[topic].Partitions[0].Leader)
}
