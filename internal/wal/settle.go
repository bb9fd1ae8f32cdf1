package wal

import (
	"fmt"
	"slices"
	"sync"

	"chronik/internal/wal/journal"
)

// unsettled is what is durable in the journal alone. A lap of the journal may be overwritten when it is full
// and all its logs have synced their active segments: most have before, with a mark, a roll or a group of
// their own. The rest is synced by the settler.
type unsettled struct {
	mu   sync.Mutex
	laps []*unsettledLap          // the older first; two at most
	lost map[journal.Key]struct{} // logs that ended with bytes which only the journal holds
}

type unsettledLap struct {
	gen  uint64
	logs map[*Log]*file // with a reference: what was written through a file is synced through it (D3)
	full bool
	kept bool // it holds bytes of a log that cannot be synced any more: it stays until the next start
}

// note remembers that a lap holds bytes of a log's active segment, and takes over the file's reference. It
// returns the laps that it has found full thereby. The caller has the log's turn.
func (u *unsettled) note(gen uint64, l *Log, f *file) {
	l.journaled = true
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.laps)
	if n == 0 || u.laps[n-1].gen != gen {
		u.laps = append(u.laps, &unsettledLap{gen: gen, logs: make(map[*Log]*file)})
		n++
	}
	lap := u.laps[n-1]
	if _, ok := lap.logs[l]; ok {
		defer f.release()
		return
	}
	lap.logs[l] = f
}

// has tells how many logs the lap that is filled now holds bytes of, and whether l is one of them.
func (u *unsettled) has(l *Log) (logs int, mine bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.laps); n > 0 {
		_, mine = u.laps[n-1].logs[l]
		logs = len(u.laps[n-1].logs)
	}
	return logs, mine
}

// fill marks the laps below a generation as full, and tells whether one has become so.
func (u *unsettled) fill(below uint64) (some bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, lap := range u.laps {
		if lap.gen < below && !lap.full {
			lap.full, some = true, true
		}
	}
	return some
}

// drop forgets what is noted of a log, and returns the files to release and the laps that are free now.
func (u *unsettled) drop(l *Log, keep bool) (files []*file, free []uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, lap := range u.laps {
		if f, ok := lap.logs[l]; ok {
			files = append(files, f)
			delete(lap.logs, l)
			lap.kept = lap.kept || keep
		}
	}
	if keep && len(files) > 0 {
		u.loseLocked(l.key)
	}
	return files, u.freeLocked()
}

// freeLocked takes out the laps that hold nothing any more.
func (u *unsettled) freeLocked() (free []uint64) {
	u.laps = slices.DeleteFunc(u.laps, func(lap *unsettledLap) bool {
		done := lap.full && !lap.kept && len(lap.logs) == 0
		if done {
			free = append(free, lap.gen)
		}
		return done
	})
	return free
}

// free is freeLocked, also of a lap all of whose logs were synced before it was full.
func (u *unsettled) free() []uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.freeLocked()
}

func (u *unsettled) loseLocked(k journal.Key) {
	if u.lost == nil {
		u.lost = make(map[journal.Key]struct{})
	}
	u.lost[k] = struct{}{}
}

// lose notes that what the journal holds of a log is not what its files say, until the next start.
func (u *unsettled) lose(k journal.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.loseLocked(k)
}

func (u *unsettled) isLost(k journal.Key) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.lost[k]
	return ok
}

// waiting returns the logs of full laps that have not been synced.
func (u *unsettled) waiting() (logs []*Log) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, lap := range u.laps {
		if !lap.full {
			continue
		}
		for l := range lap.logs {
			logs = append(logs, l)
		}
	}
	return logs
}

// end lets go of everything, and tells whether the journal's files may be emptied: whether all that they
// hold is synced where it belongs.
func (u *unsettled) end() (settled bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	settled = len(u.lost) == 0
	for _, lap := range u.laps {
		settled = settled && len(lap.logs) == 0 && !lap.kept
		for _, f := range lap.logs {
			f.release()
		}
	}
	u.laps = nil
	return settled
}

// settled follows a sync of a log's active segment: what the journal holds of it is durable there too. The
// caller has the turn.
func (l *Log) settled() {
	if l.journaled && l.spaceFailed() == nil { // the zeroer's failed sync may have taken this one's pages (D3)
		l.journaled = false
		l.committer.settled(l, false)
	}
}

// settled lets go of a log. With keep set its bytes stay in the journal until the next start.
func (c *Committer) settled(l *Log, keep bool) {
	files, free := c.unsettled.drop(l, keep)
	for _, f := range files {
		f.release()
	}
	for _, gen := range free {
		c.journal.files.Free(gen)
	}
	if len(free) > 0 {
		c.shareable.Store(c.journal.files.Room())
	}
}

// settle syncs what a full lap holds of a log. A fenced log is left alone: its records in the journal are the only
// ones that are certain, and are replayed at the next start (D3).
func (l *Log) settle() {
	l.takeTurn()
	defer l.endTurn()
	l.mu.Lock()
	idle := l.fenced || l.closed
	l.mu.Unlock()
	if idle || !l.journaled {
		return
	}
	if err := l.syncWritten(); err != nil {
		l.fence(fmt.Errorf("settling the journal: %w", err))
	}
}

// partJournal ends a log's part in the journal with the use of its files. The caller has the turn.
func (l *Log) partJournal() {
	if !l.journaled {
		return
	}
	l.mu.Lock()
	fenced := l.fenced
	l.mu.Unlock()
	if fenced || l.syncWritten() != nil {
		l.journaled = false
		l.committer.settled(l, true)
	}
}

// settleLaps is the settler's work, after a round has filled a lap.
func (c *Committer) settleLaps() {
	for _, l := range c.unsettled.waiting() {
		l.settle()
	}
	for _, gen := range c.unsettled.free() {
		c.journal.files.Free(gen)
	}
}

// keepJournal is the settler: it prepares the journal when it is first wanted, and frees its laps.
func (c *Committer) keepJournal() {
	for {
		select {
		case <-c.done:
			return
		case <-c.order:
		}
		c.prepareJournal()
		c.settleLaps()
		c.shareable.Store(c.journal.files.Room())
	}
}

// prepareJournal makes the journal's files if they are wanted. Without space for them it is asked again at the
// next tick.
func (c *Committer) prepareJournal() {
	if !c.wanted.Load() || c.journal.files.Usable() {
		return
	}
	_ = c.journal.files.Prepare() // if it cannot be had, each log goes on to sync for itself
}
