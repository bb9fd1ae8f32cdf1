package quorum

import (
	"testing"
	"time"

	"chronik/internal/vfs/crashfs"
)

// TestM2LoneVoter: the only voter, restarted after a power cut, has saved an older commit index than it had told of. Reads see all that was
// acknowledged all the same, from the first moment on.
func TestM2LoneVoter(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t, seed, 1)
		s := w.nodes[0]
		s.up()
		w.load()
		for range 4 {
			before := w.acked
			w.run(20*time.Second, func() bool { return w.acked > before+10 })
			s.power(crashfs.Lose)
			s.up()
			read := w.stats["read"]
			if !w.run(20*time.Second, func() bool { s.read(); s.took(); return w.stats["read"] > read }) && w.failed == nil {
				w.fail("no read was answered")
			}
		}
		if w.failed != nil {
			t.Fatal(w.failed)
		}
	}
}
