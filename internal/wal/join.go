package wal

import (
	"fmt"

	"chronik/internal/invariant"
)

// join writes a log's next group into its segment, for a round. It returns nil if the log takes no part in it: there is
// nothing to write, or writing failed, or the group goes to the disk alone. Then it has dealt with the turn, which the
// committer had; else it has it still, and the file a reference.
func (l *Log) join() (*group, *file) {
	known, mine := l.committer.unsettled.has(l)
	var head, g *group
	l.locked(func(c *core) {
		if head = c.head; head != nil && l.mayShare(head) && (mine || known < l.committer.files.cap) {
			g = c.formGroup()
		}
	})
	switch {
	case head == nil:
		l.endTurn()
		return nil, nil
	case g == nil:
		l.committer.pushAlone(l)
		return nil, nil
	}
	invariant.Assert(g.mark == nil && !g.roll && !g.relaxed, "D2: a group that must be synced where it is joined a round")
	f, err := l.write(g)
	if err != nil {
		l.failGroup(f, err)
		l.endTurn()
		return nil, nil
	}
	l.locked(func(c *core) { c.onWritten(g) })
	return g, f
}

// mayShare tells whether the journal can stand in for a group's own sync. Not if that has more to do: to make durable a
// mark, a new segment, or what relaxed flushing has left unsynced; nor if the write would have to wait for
// the zeroer. The caller holds the mutex.
func (l *Log) mayShare(g *group) bool {
	c, s := &l.core, &l.space
	switch m := c.marks.pending; {
	case !l.shared || l.fenced || l.unfinished.group != nil:
		return false
	case g.roll || g.unclean || g.bytes > maxShared || c.cfg.relaxed() || c.synced < c.written:
		return false
	case m != nil && m.offset <= c.synced:
		return false
	case s.failed != nil || s.job != nil && s.job.started && g.pos+g.bytes > s.frontier:
		return false
	}
	return true
}

// finishShared follows the sync of a record that holds a log's group, and passes the turn on.
func (l *Log) finishShared(f *file, g *group, gen uint64) {
	l.committer.unsettled.note(gen, l, f)
	l.locked(func(c *core) { c.onSynced(g) })
	l.groupDone(g)
	l.listAfter(g)
	g.recycle()
	l.endTurn()
}

// finishAlone syncs a group that was written for a round, and passes the turn on.
func (l *Log) finishAlone(f *file, g *group) {
	defer f.release()
	defer l.endTurn()
	if err := l.syncFile(f); err != nil {
		l.fence(fmt.Errorf("syncing %s: %w", f.name, err))
		return
	}
	l.settled()
	l.locked(func(c *core) { c.onSynced(g) })
	l.groupDone(g)
	l.afterGroup(f, g)
	g.recycle()
}
