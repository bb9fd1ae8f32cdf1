package wal

import (
	"errors"
	"fmt"
	"io/fs"
)

// roll ends the active segment, if there is one, and begins the one that a group is for. The caller has
// the turn. A crash at any point leaves either no new file, or one without a valid header or without
// data: recovery drops the one and continues the other.
func (l *Log) roll(g *group) error {
	l.stopZeroing()
	if err := l.seal(g.seal); err != nil {
		return err
	}
	l.mu.Lock()
	start, epoch, prev := l.core.start, l.core.epoch, g.before.used
	l.mu.Unlock()
	id := identity{
		topicID: l.topicID, partition: l.tp.Partition, number: prev + 1,
		base: g.base, epoch: epoch, first: prev < 0 || g.first, gaps: g.gaps,
	}
	m := *g.seal
	m.seq, m.pos, m.flags, m.stats, m.logStart = 1, headerBytes, 0, noStats(), start
	page := encodeHeader(&id, &m)
	if err := l.createSegment(id.number, page); err != nil {
		return err
	}
	l.locked(func(c *core) {
		c.beginSegment(g)
		if g.floor != nil {
			l.floorDue, g.floor = floor{id.number, g.floor}, nil
		}
		c.marks.seq, c.marks.onDisk, c.marks.lean, c.marks.unsure = 1, g.base, false, false
		l.markSeed = identitySum(page)
		l.space = space{frontier: headerBytes, ahead: l.space.ahead, begun: l.space.begun, groups: l.space.groups}
		l.hints = [numHints]hint{}
	})
	return nil
}

// seal cuts the active segment to its data and syncs it with its last mark (L3). From then on the file
// does not change.
func (l *Log) seal(m *mark) error {
	l.mu.Lock()
	seg := l.core.active()
	seq := l.core.marks.seq
	if l.core.marks.lean && !l.core.marks.unsure {
		seq++ // into the same slot again: the other one holds what this mark leaves to a file that is not there
	}
	l.mu.Unlock()
	if seg == nil {
		return nil
	}
	if err := l.syncWritten(); err != nil { // the mark and what it claims must not race to the disk
		return err
	}
	f, err := l.segmentFile(seg.file())
	if err != nil {
		return err
	}
	defer f.release()
	if err := f.Truncate(m.pos); err != nil {
		return fmt.Errorf("cutting %s to its data: %w", f.name, err)
	}
	if err := l.writeMark(f, seq+1, m); err != nil {
		return err
	}
	if err := l.syncFile(f); err != nil {
		return fmt.Errorf("sealing %s: %v", f.name, err) // whatever it is, it is final (D3)
	}
	l.locked(func(c *core) {
		l.space.frontier = m.pos
		c.settle(m.offset)
	})
	return nil
}

// createSegment makes the file and makes it durable with its name, before anything depends on it (D6).
func (l *Log) createSegment(number int64, page []byte) error {
	if number == 0 {
		if err := l.voidEarlier(); err != nil {
			return err
		}
		if err := l.fs.MkdirAll(l.dir); err != nil {
			return fmt.Errorf("making the log's directory: %w", err)
		}
	}
	name := l.path(segmentName(number))
	vf, err := l.fs.Create(name)
	if errors.Is(err, fs.ErrExist) { // left by an attempt that failed before it became a segment
		if err = l.fs.Remove(name); err == nil {
			vf, err = l.fs.Create(name)
		}
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	f := l.committer.files.put(fileKey{l, number}, vf)
	defer f.release()
	if _, err := f.WriteAt(page, 0); err != nil {
		l.forgetFile(number)
		_ = l.fs.Remove(name) // else recovery finds it without data and drops it
		return fmt.Errorf("writing the header of %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing the header of %s: %v", name, err) // final (D3)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("syncing directory %s: %v", l.dir, err) // final (D3)
	}
	return nil
}

// writeMark puts a mark into the next slot. It becomes durable with the next sync of the file, which must come before the
// next mark: so one slot always holds a mark that is durable (L2).
//
// The mark that was found when the log was opened may not be: the process before may have died between its write and its
// sync, or that sync may have failed (D3). Then its slot is used again. Nothing is lost if that write is torn and the mark
// before it counts: it claims less, and what lies past it is scanned. Those that moved the log start or the end were made
// durable when the log was opened, see markRedo.
func (l *Log) writeMark(f *file, seq uint64, m *mark) error {
	var buf [markBytes]byte
	l.mu.Lock()
	seed := l.markSeed
	m.logStart = max(m.logStart, l.core.start)
	if l.core.marks.unsure {
		seq++
	}
	l.mu.Unlock()
	m.seq = seq
	m.encode(buf[:], seed)
	if _, err := f.WriteAt(buf[:], markPos(seq)); err != nil {
		return fmt.Errorf("writing a mark to %s: %w", f.name, err)
	}
	l.locked(func(c *core) {
		c.marks.seq, c.marks.onDisk, c.marks.lean, c.marks.unsure = seq, m.offset, c.leans(m), false
	})
	return nil
}
