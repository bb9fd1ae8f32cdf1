package sim

import (
	"path"
	"slices"
	"time"

	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// workers is how many groups a node has in flight at a time.
const workers = 4

// openCommitter makes what writes the logs, and puts back what only the journal holds of them.
func (n *node) openCommitter() bool {
	o := wal.CommitterOptions{FS: n.w.bugs.disk(n, n.disk.files), OpenFiles: 16, Now: n.wall}
	if n.w.share {
		if n.w.bugs.forgetsJournal {
			_ = o.FS.RemoveAll(journalDir)
		}
		j, found, err := wal.OpenJournal(wal.JournalOptions{FS: o.FS, Root: path.Dir(journalDir), HalfBytes: journalHalf})
		if err != nil {
			if n.disk.bad == 0 && !n.disk.limited {
				n.w.fail("L1", "%v: replaying the journal: %v", n, err)
			}
			n.w.note(n.id, "does not start: its journal cannot be replayed")
			return false
		}
		if found.Rot != nil {
			n.w.fail("L2", "%v: the journal has lost something: %v", n, found.Rot)
		}
		if found.Bytes > 0 {
			n.w.note(n.id, "replays %d bytes of %d logs", found.Bytes, int64(found.Segments))
			n.w.stats[replays]++
		}
		o.Journal = j
	}
	n.stepper = wal.NewStepper(o)
	return true
}

// pump begins the disk work that waits, as far as there are workers for it.
func (n *node) pump() {
	n.settleJournal()
	for len(n.flights) < workers {
		s, ok := n.stepper.Write()
		if !ok {
			return
		}
		if s == nil {
			continue
		}
		for _, l := range s.Logs() {
			n.flights[l] = s
		}
		took := n.disk.syncTime()
		if n.armed {
			n.armed = false
			n.after(n.w.between(0, took), func() { n.w.down(n, crashfs.Random) })
		}
		n.after(took, func() {
			if n.flights[s.Logs()[0]] == s {
				n.land(s)
			}
		})
	}
}

// land ends what is in flight.
func (n *node) land(s *wal.InFlight) {
	for _, l := range s.Logs() {
		delete(n.flights, l)
	}
	s.Sync()
}

// idle runs f when no group of the log is in flight: f does disk work of its own, for which a real shell would wait. It never runs when the
// log is given up before.
func (n *node) idle(l *wal.Log, f func()) {
	if !slices.ContainsFunc(n.replicas, func(r *replica) bool { return r.log == l }) {
		return
	}
	if n.flights[l] == nil && n.stepper.Idle(l, f) {
		return
	}
	n.after(time.Millisecond, func() { n.idle(l, f) })
}

// free ends what is in flight of a log at once: the disk has just become ready.
func (n *node) free(l *wal.Log) {
	if s := n.flights[l]; s != nil {
		n.land(s)
	}
	n.stepper.Yield(l)
}

// settleJournal syncs the logs that a full half of the journal waits for.
func (n *node) settleJournal() {
	for _, l := range n.stepper.Unsettled() {
		n.idle(l, func() { n.stepper.Settle(l) })
	}
}
