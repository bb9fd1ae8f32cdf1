package wal

import (
	"errors"
	"fmt"

	"chronik/internal/invariant"
	"chronik/internal/vfs"
)

// parkedBytes is up to how many bytes of a group a worker waits for the sync without a thread: the sync of a larger one takes so
// long that the thread costs nothing beside it.
const parkedBytes = 64 << 10

// commit writes and syncs the next group and tells its waiters. The caller has the turn. It reports
// whether there was a group. With quiet, nothing else is committed on the device.
func (l *Log) commit(quiet bool) bool {
	p, ok := l.writeNext()
	p.parked = quiet && p.group != nil && p.group.bytes <= parkedBytes
	if p.group != nil {
		l.syncPart(p)
	}
	return ok
}

// commitInline is commit for a caller that has come to append: a lone one, on a broker that is mostly quiet.
func (l *Log) commitInline() {
	p, _ := l.writeNext()
	p.parked = true
	if p.group != nil {
		l.syncPart(p)
	}
}

// commitAdmitted commits for a caller that has the turn, and that the committer has admitted.
func (l *Log) commitAdmitted() {
	l.commitInline()
	l.committer.busy.Add(-1)
	l.endTurn()
}

// Commit is a commit that whoever appended has taken over from the committer. The zero value has nothing to commit.
type Commit struct{ log *Log }

// Due tells whether there is something to commit.
func (c Commit) Due() bool { return c.log != nil }

// Make commits, as Append.Inline does. The waiter has been told when it returns.
func (c Commit) Make() {
	if c.log != nil {
		c.log.commitAdmitted()
	}
}

// Leave gives the commit back to the committer.
func (c Commit) Leave() {
	if l := c.log; l != nil {
		l.committer.busy.Add(-1)
		l.mu.Lock()
		l.queued = true
		l.mu.Unlock()
		l.committer.push(l)
	}
}

// part is a group between its write and its sync.
type part struct {
	group    *group
	file     *file // with a reference
	mustSync bool  // else it is complete as it is, and the sync is left to a later one
	parked   bool  // wait for the sync without a thread
}

// writeNext forms the next group and writes it. It reports whether there was one; the part is empty if there was none or it
// failed. The caller has the turn.
func (l *Log) writeNext() (p part, ok bool) {
	var g *group
	l.locked(func(c *core) { g = c.formGroup() })
	if g == nil {
		return part{}, false
	}
	f, err := l.write(g)
	if err != nil {
		l.failGroup(f, err)
		return part{}, true
	}
	mustSync := false
	l.locked(func(c *core) {
		c.onWritten(g)
		mustSync = !g.relaxed || c.unsynced >= c.cfg.FlushMessages
	})
	g.release()
	if g.relaxed {
		l.groupDone(g)
	}
	return part{group: g, file: f, mustSync: mustSync}, true
}

func (p *part) sync() error {
	if p.parked {
		return vfs.SyncParked(p.file.File)
	}
	return p.file.Sync()
}

// syncPart syncs what writeNext has written, and ends it. The caller has the turn still.
func (l *Log) syncPart(p part) {
	g, f := p.group, p.file
	if p.mustSync {
		err := p.sync()
		if err == nil {
			err = l.spaceFailed()
		}
		if err != nil {
			told := g.relaxed // else it is the group in flight, which the fence takes and tells
			l.fence(fmt.Errorf("syncing %s: %w", f.name, err))
			f.release()
			if told {
				g.recycle()
			}
			return
		}
		l.settled()
		l.locked(func(c *core) { c.onSynced(g) })
	}
	if !g.relaxed {
		l.groupDone(g)
	}
	l.afterGroup(f, g)
	f.release()
	g.recycle()
}

// groupDone publishes a group's end and tells those who wait for it, in offset order. The observer hears of the end first:
// who was told that a record is there must not be shown an end below it (R5). The caller has the turn.
func (l *Log) groupDone(g *group) {
	end := l.core.visible // changes with the turn only
	l.visibleAt.Store(int64(end))
	if l.observer != nil {
		l.observer.EndAdvanced(end)
	}
	var answered []duplicate
	l.locked(func(c *core) { answered = c.groupDone() })
	g.finish(nil)
	for _, d := range answered {
		d.waiter.Done(nil)
	}
}

// write puts a group into the file, after beginning its segment if it begins one. The file is returned
// with a reference, also with most errors: nil if there is none.
func (l *Log) write(g *group) (*file, error) {
	if g.roll {
		if err := l.roll(g); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	seg := l.core.active()
	seq := l.core.marks.seq
	l.mu.Unlock()
	f, err := l.segmentFile(seg.file())
	if err != nil {
		return nil, err
	}
	l.claim(g.pos + g.bytes)
	if g.mark != nil {
		if err := l.writeMark(f, seq+1, g.mark); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
			return f, err
		} // without space for the mark, the one before stays good
	}
	invariant.Assert(len(g.bufs) > 0, "D5: a group without batches")
	if _, err := f.WriteVAt(g.bufs, g.pos); err != nil {
		return f, fmt.Errorf("writing %s: %w", f.name, err)
	}
	return f, nil
}

// yield ends the committer's turn if others wait: those who want the turn of this log, or other logs that
// want a worker, or if there is nothing left to write. It reports whether it did.
func (l *Log) yield() bool {
	l.mu.Lock()
	if l.turn.pass() {
		l.queued = false
		l.mu.Unlock()
		return true
	}
	if l.core.head == nil {
		l.queued = false
		l.turn.drop()
		l.mu.Unlock()
		return true
	}
	l.mu.Unlock()
	if c := l.committer; c.waiting.Load() == 0 && !c.sharing.Load() {
		return false
	}
	l.committer.push(l)
	return true
}

// failGroup deals with a group that could not be written. A full disk costs this group and those queued
// behind it, and nothing else (E3); any other error is final (D3).
func (l *Log) failGroup(f *file, err error) {
	if f != nil {
		defer f.release()
	}
	if !errors.Is(err, vfs.ErrNoSpace) {
		l.fence(err)
		return
	}
	if f != nil {
		if cutErr := l.cutBack(f); cutErr != nil {
			l.fence(fmt.Errorf("cutting off a write that met a full disk (%w): %w", err, cutErr))
			return
		}
	}
	l.failQueue(fmt.Errorf("%s: %w: %w", l.tp, ErrNoSpace, err))
}

// cutBack removes what a failed write has left behind the written end (L3).
func (l *Log) cutBack(f *file) error {
	l.mu.Lock()
	pos := int64(headerBytes)
	if g := l.core.inflight; g != nil {
		pos = g.pos
	}
	l.mu.Unlock()
	l.stopZeroing()
	if err := f.Truncate(pos); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	l.space.frontier = pos
	l.mu.Unlock()
	return nil
}

// fence ends all appending for good (D3). The caller has the turn.
func (l *Log) fence(cause error) {
	err := fmt.Errorf("%s: %w: %w", l.tp, ErrFenced, cause)
	l.mu.Lock()
	first := !l.fenced
	l.fenced = true
	if first {
		l.core.failure = err
	}
	l.mu.Unlock()
	l.failQueue(err)
	if first && l.observer != nil {
		l.observer.Fenced(err)
	}
}

// failQueue undoes what is not written and tells the waiters why.
func (l *Log) failQueue(err error) {
	var g *group
	var dups []duplicate
	l.locked(func(c *core) {
		g, dups = c.fail()
		l.spilling = nil // it may remember what has just been undone
		l.endAt.Store(int64(c.end))
	})
	for g != nil {
		next := g.next
		g.release()
		g.finish(err)
		g.recycle()
		g = next
	}
	for _, d := range dups {
		d.waiter.Done(err)
	}
}
