package verify_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
	"chronik/internal/verify"
)

// TestTooFewReplicas takes two of three nodes away: what is sent once fails then, and the gap lasts until they are back.
func TestTooFewReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, map[string]string{"min.insync.replicas": "2"})
		run, err := verify.Start(t.Context(), verify.Options{
			Brokers: []string{"n1:9092", "n2:9092", "n3:9092"}, Client: []kgo.Opt{kgo.Dialer(c.Dial)},
			Partitions: 1, Replication: 3, Rate: 100, Producers: []verify.Producer{verify.Idempotent, verify.Once},
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		lead := leader(t, c, run.Topic())
		one, two := lead%3+1, (lead+1)%3+1
		c.Kill(one)
		time.Sleep(4 * time.Second) // out of the ISR
		short := time.Now()
		c.Kill(two)
		time.Sleep(5 * time.Second)
		if gap, err := run.Gap(0, short); err != nil || !gap.Open || gap.To.Sub(gap.From) < 4*time.Second {
			t.Errorf("two of three nodes are gone; the gap is %+v, %v", gap, err)
		}
		c.Run(one, two)
		gap, err := run.Await(t.Context(), 0, short)
		if err != nil || gap.Open || gap.To.Sub(gap.From) < 5*time.Second {
			t.Errorf("two of three nodes were gone for 5 s; the gap was %+v, %v", gap, err)
		}
		report, err := run.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Whether NOT_ENOUGH_REPLICAS is heard depends on who is left: a leader that has lost the quorum too soon has resigned.
		if n := report.Counts; !report.OK() || n.Failed+n.Unknown < 10 {
			t.Errorf("want records that failed, and nothing violated; the report says:\n%s", report)
		}
	})
}
