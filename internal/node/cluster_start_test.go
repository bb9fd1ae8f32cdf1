package node

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"chronik/internal/broker/api"
	"chronik/internal/config"
	"chronik/internal/vfs/crashfs"
)

// D2: a clean stop does not hide that the stop before was not clean, if no controller has heard of that in between: a node that lost the
// page cache would keep its place in the ISRs of relaxed topics.
func TestD2CleanMarkHidesNothing(t *testing.T) {
	for name, c := range map[string]struct{ clean, registered, marked bool }{
		"was clean, not registered":   {true, false, true},
		"was unclean, registered":     {false, true, true},
		"was unclean, not registered": {false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			const dir = "/data"
			disk := crashfs.New(1)
			if err := disk.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			cl := newCluster(&Node{settings: &config.Server{DataDir: dir}, failed: make(chan struct{}), env: Env{FS: disk}})
			cl.broker.Store(new(api.Broker))
			cl.registration.CleanStop = c.clean
			if c.registered {
				cl.epoch.Store(7)
			}
			if err := cl.markClean(); err != nil {
				t.Fatal(err)
			}
			if _, err := disk.Stat(path.Join(dir, cleanName)); err == nil != c.marked || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the mark: %v, want %v", err, c.marked)
			}
		})
	}
}
