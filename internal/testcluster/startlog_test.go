package testcluster

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStartUpTellsTheTruth: nodes that restart, together and one by one, warn of nothing that is as it should be. One that waits for the others goes on saying for whom.
func TestStartUpTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Start(t, 3, nil)
		time.Sleep(2 * time.Second)
		c.StopAll()
		c.Run(1, 2, 3)
		c.Stop(1)
		c.Run(1)
		for id := 1; id <= 3; id++ {
			for line := range strings.Lines(c.nodes[id].Log.String()) {
				for _, wrong := range []string{"cannot campaign", `cluster \"\"`, "leader=0"} {
					if strings.Contains(line, wrong) {
						t.Errorf("node %d: %s", id, line)
					}
				}
			}
		}
		log := c.nodes[1].Log.String()
		if strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
			t.Errorf("a node that starts beside two others says\n%s", log)
		}
		c.StopAll()
		alone := make(chan error)
		go func() { alone <- c.TryRun(1) }()
		time.Sleep(25 * time.Second)
		c.Run(2)
		if err := <-alone; err != nil {
			t.Fatal(err)
		}
		if said := c.nodes[1].Log.String(); strings.Count(said, "still waiting for the metadata quorum") != 2 || !strings.Contains(said, "2 at n2:5001") {
			t.Errorf("a node that has waited for the others said\n%s", said)
		}
	})
}
