package wal

import (
	"fmt"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/epoch"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// spillEvery is how many bytes of log may follow a snapshot file: recovery walks them.
const spillEvery = markEveryBytes

// stateFiles are the names of the snapshot files by kind.
var stateFiles = [stateKinds]string{epoch.FileName, producer.FileName, txn.FileName}

// spillDue tells whether a state has outgrown the marks and its file is missing or old.
func (c *core) spillDue() bool {
	for k, want := range c.marks.wanted {
		if want && (!c.fileServes(k) || c.marks.spillAt >= spillEvery) {
			return true
		}
	}
	return false
}

// spill writes the snapshot files of the states that do not fit into a mark. The caller has the upkeep. A
// snapshot is taken in one call and written in the next, when the log is durable up to it: else it could
// remember what a crash has taken back. last says that nothing is queued, and that nobody comes by again.
//
// An error is no loss yet: recovery walks a longer way, and the next tick tries again.
func (l *Log) spill(last bool) error {
	l.writeFloorDue()
	var s *snapshots
	l.locked(func(c *core) {
		if (l.spilling == nil || last) && (c.spillDue() || last && c.marks.spillAt > 0) {
			l.spilling = c.takeSpill()
		}
		if l.spilling != nil && l.spilling.end <= c.synced && !l.fenced {
			s, l.spilling = l.spilling, nil
		}
	})
	if s == nil {
		return nil
	}
	if err := l.writeSnapshots(s); err != nil {
		return err
	}
	l.mu.Lock()
	l.core.marks.spillAt -= s.at
	l.mu.Unlock()
	return nil
}

// snapshots are states as of end, to be written to their files.
type snapshots struct {
	end  model.Offset
	at   int64 // marks.spillAt when taken
	body [stateKinds][]byte
}

func (c *core) takeSpill() *snapshots {
	s := &snapshots{end: c.end, at: c.marks.spillAt}
	for k, want := range c.marks.wanted {
		if want {
			s.body[k] = c.snapshotOf(k)
		}
	}
	return s
}

// snapshotOf encodes a state as the log ends now, with all that is queued.
func (c *core) snapshotOf(kind int) []byte {
	switch kind {
	case stateEpochs:
		return c.epochs.AppendSnapshot(nil, c.end)
	case stateProducers:
		return c.producers.AppendSnapshot(nil, c.end)
	default:
		return c.txns.AppendSnapshot(nil, c.end)
	}
}

// writeSnapshots writes the files of the kinds that have a body.
func (l *Log) writeSnapshots(s *snapshots) error {
	for k, body := range s.body {
		if body == nil {
			continue
		}
		err := vfs.ReplaceFile(l.fs, l.path(stateFiles[k]), body)
		l.mu.Lock()
		m := &l.core.marks
		if m.files[k], m.doubtful[k] = true, err != nil; err == nil {
			m.reach[k] = s.end
		}
		l.mu.Unlock()
		if err != nil {
			return fmt.Errorf("writing %s of %s: %w", stateFiles[k], l.tp, err)
		}
	}
	return nil
}

// rememberProducers makes the producers durable before the batches below base go, from which recovery could
// have learned of them: a producer is forgotten when it expires, not when its records are deleted (T1). m is
// the mark on disk. There is nothing to do while it holds them itself, or leaves them to a file that knows
// what goes. The caller has upkeep and turn.
//
// Epochs and transactions need no such care: of those, only what is in the log that is left counts.
func (l *Log) rememberProducers(m *mark, base model.Offset) error {
	l.mu.Lock()
	c := &l.core
	done := base == 0 || !m.spilled[stateProducers] || c.marks.files[stateProducers] && c.marks.reach[stateProducers] >= base
	l.mu.Unlock()
	if done {
		return nil
	}
	if err := l.syncWritten(); err != nil {
		return err
	}
	var s snapshots
	var before producer.State
	l.locked(func(c *core) {
		s.end = c.synced
		before = c.producers.Before(c.synced)
		l.spilling = nil // it is older
	})
	s.body[stateProducers] = before.AppendSnapshot(nil, s.end)
	return l.writeSnapshots(&s)
}
