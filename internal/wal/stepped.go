package wal

import (
	"cmp"
	"slices"
	"time"
)

// Stepper is a Committer without goroutines: nothing is written, synced or kept up but by its methods, so that a simulator
// decides what happens when, and can let the power fail in between. All of them, and all methods of its logs, belong to one
// goroutine. Those of a log that wait for their turn at the disk (Truncate, Close, Abandon, DeleteBefore) and Upkeep must
// be called within Idle or right after Yield: there is nobody who would end the wait.
type Stepper struct{ c *Committer }

// NewStepper returns a Stepper. Workers and Tick mean nothing to it. Where it has a journal, every group goes there that may.
func NewStepper(o CommitterOptions) *Stepper {
	if o.OpenFiles <= 0 {
		o.OpenFiles = defaultOpenFiles
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Stepper{newCommitter(o)}
	s.c.limit = 0
	if s.c.journal != nil {
		s.c.wanted.Store(true)
		s.prepareJournal()
	}
	return s
}

func (s *Stepper) prepareJournal() {
	s.c.prepareJournal()
	s.c.shareable.Store(s.c.journal.files.Room())
}

// Committer is what logs are opened with.
func (s *Stepper) Committer() *Committer { return s.c }

// InFlight is what is written and not synced: the group of one log, or a round of many.
type InFlight struct {
	c     *Committer
	logs  []*Log
	part  part
	round bool
}

// Logs are the logs whose groups they are.
func (s *InFlight) Logs() []*Log { return s.logs }

// Write writes the next group of the log that has waited longest, or of all that wait if they share the journal. inFlight is nil if that
// ended it already, because the write failed or the topic has relaxed its flushing; ok is false if there is nothing to write, or all of it
// waits for the end of a round.
func (s *Stepper) Write() (inFlight *InFlight, ok bool) {
	c := s.c
	if c.alone.len() == 0 && (c.queue.len() == 0 || c.open && c.shares()) {
		return nil, false
	}
	l, round := c.next()
	if round != nil {
		if !c.gather(round) {
			c.endRound()
			return nil, true
		}
		out := &InFlight{c: c, round: true}
		for _, j := range c.joined {
			out.logs = append(out.logs, j.log)
		}
		return out, true
	}
	out := &InFlight{c: c, logs: []*Log{l}}
	if l.unfinished.group != nil {
		return out, true
	}
	out.part, _ = l.writeNext()
	switch {
	case out.part.group == nil:
		l.endTurn()
	case !out.part.mustSync:
		out.Sync()
	default:
		return out, true
	}
	return nil, true
}

// Sync syncs what was written, tells the waiters, and queues the logs again if they have more.
func (s *InFlight) Sync() {
	if s.round {
		s.c.commitJoined()
		s.c.endRound()
		return
	}
	l := s.logs[0]
	if s.part.group == nil {
		l.finishUnfinished()
		return
	}
	l.syncPart(s.part)
	l.endTurn()
}

// finishUnfinished syncs a group that was written for a round which the journal did not take, and passes the turn on.
func (l *Log) finishUnfinished() {
	j := l.unfinished
	l.unfinished = joined{}
	l.finishAlone(j.file, j.group)
}

// Idle runs f, which may call methods that need the log's turn, and queues the log again if something waits that f has not
// passed the turn to. It is false, and f does not run, while a group of the log is in flight.
func (s *Stepper) Idle(l *Log, f func()) bool {
	if !s.Yield(l) {
		return false
	}
	f()
	l.mu.Lock()
	again := l.core.head != nil && l.turn.tryTake()
	l.queued = l.queued || again
	l.mu.Unlock()
	if again {
		s.c.push(l)
	}
	return true
}

// Yield makes way for a method that needs the log's turn: what the log has queued comes after it, and is not written if no such method is called: see Idle.
// It is false while a group of the log is in flight.
func (s *Stepper) Yield(l *Log) bool {
	if !l.turn.taken {
		return true
	}
	if s.c.alone.remove(l) {
		if l.unfinished.group != nil {
			l.finishUnfinished()
			return s.Yield(l)
		}
		l.turn.drop()
		return true
	}
	if !s.c.queue.remove(l) {
		return false
	}
	s.c.waiting.Add(-1)
	l.queued = false
	l.turn.drop()
	return true
}

// remove takes a log out, and tells whether it was there.
func (q *fifo) remove(l *Log) (found bool) {
	for range q.len() {
		if o := q.pop(); o != l {
			q.push(o)
		} else {
			found = true
		}
	}
	return found
}

// Unsettled prepares the journal if it is not, and returns the logs that a full half of it waits for, by name: each is to be settled.
func (s *Stepper) Unsettled() []*Log {
	c := s.c
	select {
	case <-c.order:
	default:
		return nil
	}
	s.prepareJournal()
	logs := c.unsettled.waiting()
	slices.SortFunc(logs, func(a, b *Log) int { return cmp.Compare(a.key.Dir, b.key.Dir) })
	logs = slices.Compact(logs)
	if len(logs) == 0 {
		s.freeLaps()
	}
	return logs
}

// Settle syncs what the journal holds of a log, so that its half can be filled again. Yield must come right before it.
func (s *Stepper) Settle(l *Log) {
	l.settle()
	s.freeLaps()
}

// freeLaps lets the journal use the halves again that nothing depends on.
func (s *Stepper) freeLaps() {
	for _, gen := range s.c.unsettled.free() {
		s.c.journal.files.Free(gen)
	}
	s.c.shareable.Store(s.c.journal.files.Room())
}

// Tick is what happens each second: it returns the logs that have something to be kept up, for Upkeep.
func (s *Stepper) Tick() []*Log {
	c := s.c
	c.clockMs.Store(c.now().UnixMilli())
	c.files.sweep(sweepTicks)
	logs := c.listed
	c.listed = nil
	return logs
}

// Upkeep writes what a log keeps beside its records.
func (s *Stepper) Upkeep(l *Log) { l.keepUp() }

// Zero makes space ahead of one busy log, false if none has asked for it.
func (s *Stepper) Zero() bool {
	select {
	case j := <-s.c.zeroing:
		j.run()
		return true
	default:
		return false
	}
}

// Close closes the files that nobody uses.
func (s *Stepper) Close() { s.c.closeFiles() }
