package wal

import "time"

// Stepper is a Committer without goroutines: nothing is written, synced or kept up but by its methods, so that a simulator
// decides what happens when, and can let the power fail in between. All of them, and all methods of its logs, belong to one
// goroutine. Those of a log that wait for their turn at the disk (Truncate, Close, Abandon, DeleteBefore) and Upkeep must
// be called right after Yield: there is nobody who would end the wait.
type Stepper struct{ c *Committer }

// NewStepper returns a Stepper. Workers and Tick mean nothing to it; a journal it does not have.
func NewStepper(o CommitterOptions) *Stepper {
	o.Journal = nil
	if o.OpenFiles <= 0 {
		o.OpenFiles = defaultOpenFiles
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Stepper{newCommitter(o)}
}

// Committer is what logs are opened with.
func (s *Stepper) Committer() *Committer { return s.c }

// InFlight is a group that is written and not synced.
type InFlight struct {
	log  *Log
	part part
}

// Log is the log whose group it is.
func (s *InFlight) Log() *Log { return s.log }

// Write writes the next group of the log that has waited longest. inFlight is nil if that ended it already, because the write
// failed or the topic has relaxed its flushing; ok is false if no log waits.
func (s *Stepper) Write() (inFlight *InFlight, ok bool) {
	if s.c.queue.len() == 0 {
		return nil, false
	}
	l, _ := s.c.next()
	out := &InFlight{log: l}
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

// Sync syncs the group, tells its waiters, and queues the log again if it has more.
func (s *InFlight) Sync() {
	s.log.syncPart(s.part)
	s.log.endTurn()
}

// Yield makes way for a method that needs the log's turn: what the log has queued comes after it. It is false while a group of
// the log is in flight.
func (s *Stepper) Yield(l *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.turn.taken {
		return true
	}
	q, found := &s.c.queue, false
	for range q.len() {
		if o := q.pop(); o != l {
			q.push(o)
		} else {
			found = true
		}
	}
	if found {
		s.c.waiting.Add(-1)
		l.queued = false
		l.turn.drop()
	}
	return found
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
