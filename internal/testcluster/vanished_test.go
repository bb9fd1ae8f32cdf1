package testcluster

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheControllerVanishesWithWhatItLeads: its partitions wait for an election and what is left of its session, not for a whole one more.
func TestTheControllerVanishesWithWhatItLeads(t *testing.T) {
	var times []time.Duration
	for range 15 {
		synctest.Test(t, func(t *testing.T) {
			c := Start(t, 3, nil)
			cl := c.Client(kgo.RecordRetries(1000), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
				kgo.MetadataMinAge(20*time.Millisecond))
			defer cl.Close()
			admin := kadm.NewClient(cl)
			if _, err := admin.CreateTopic(t.Context(), 3, 3, nil, "t"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			m, err := admin.Metadata(t.Context(), "t")
			if err != nil {
				t.Fatal(err)
			}
			var partition int32
			for _, p := range m.Topics["t"].Partitions {
				if p.Leader == m.Controller {
					partition = p.Partition
				}
			}
			began := time.Now()
			c.Isolate(int(m.Controller))
			for time.Since(began) < 10*time.Second && !c.leaderElsewhere(t, partition, m.Controller) {
				time.Sleep(10 * time.Millisecond)
			}
			times = append(times, time.Since(began))
			c.Rejoin(int(m.Controller))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
				t.Error(err)
			}
		})
	}
	slices.Sort(times)
	t.Logf("another leader after %v", times)
	if median := times[len(times)/2]; median > 1100*time.Millisecond {
		t.Errorf("the median is %v", median)
	}
}

// leaderElsewhere tells whether a node in service knows of another leader.
func (c *Cluster) leaderElsewhere(t *testing.T, partition, not int32) bool {
	t.Helper()
	for id := int32(1); id <= 3; id++ {
		if id == not {
			continue
		}
		cl := c.Client(kgo.SeedBrokers(host(int(id)) + ":9092"))
		m, err := kadm.NewClient(cl).Metadata(t.Context(), "t")
		cl.Close()
		if err == nil && len(m.Topics["t"].Partitions) == 3 {
			if p := m.Topics["t"].Partitions[partition]; p.Leader >= 0 && p.Leader != not {
				return true
			}
		}
	}
	return false
}
