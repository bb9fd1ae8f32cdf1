package testcluster

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// moved are the settings of a node that listens for the others somewhere else than before. What it knows of them is what --peers says.
func (c *Cluster) moved(id int, all bool) map[string]string {
	flags := c.settings(id)
	flags["raft-addr"], flags["replication-port"] = host(id)+":6001", "6291"
	if all {
		flags["peers"] = strings.ReplaceAll(flags["peers"], ":5001", ":6001")
	}
	return flags
}

// written runs a test with a cluster of three nodes, all of which hold the same ten records.
func written(t *testing.T, test func(*testing.T, *Cluster, *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := Start(t, 3, nil)
		cl := c.Client()
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 3, nil, "t"); err != nil {
			t.Fatal(err)
		}
		acknowledge(t, cl, 0, 10)
		test(t, c, cl)
	})
}

// TestANodeComesBackUnderAnotherAddress: the others know where it was registered, and nothing can be decided without it; it is reached where it is.
func TestANodeComesBackUnderAnotherAddress(t *testing.T) {
	written(t, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		c.Stop(2)
		c.Stop(3)
		began := time.Now()
		if err := c.start(2, c.moved(2, false)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("with two of three nodes, one of which has moved, it took %v", took)
		}
		c.inSync(cl, 2)
		acknowledge(t, cl, 10, 20)
		c.Run(3)
		c.inSync(cl, 3)
		c.Stop(1)
		acknowledge(t, cl, 20, 30)
	})
}

// TestAllNodesMove: all that the metadata say of addresses is wrong, and --peers is right.
func TestAllNodesMove(t *testing.T) {
	written(t, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		c.StopAll()
		errs := make(chan error)
		began := time.Now()
		for id := 1; id <= 3; id++ {
			go func() {
				err := c.start(id, c.moved(id, true))
				if err != nil {
					err = fmt.Errorf("node %d: %w", id, err)
				}
				errs <- err
			}()
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		c.inSync(cl, 3)
		acknowledge(t, cl, 10, 20)
	})
}
