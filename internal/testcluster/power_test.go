package testcluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/vfs/crashfs"
)

// A node whose power goes while it waits for the others is gone: it does not keep its place, and with it a majority from coming together, until
// the start's time is over.
func TestPowerGoesDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Start(t, 3, map[string]string{"min.insync.replicas": "2"})
		for id := 1; id <= 3; id++ {
			c.Kill(id)
		}
		started := make(chan error)
		go func() { started <- c.TryRun(1) }()
		synctest.Wait()
		began := time.Now()
		c.cut(1, c.machine(1), crashfs.Random)
		if err := <-started; !errors.Is(err, ErrPowerCut) {
			t.Errorf("a node starts without power: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a node without power starts for %v", took)
		}
		c.Bury(1)
		c.Run(1, 2)
	})
}
