package wal

// NewSteppedCommitter returns a Committer without goroutines: nothing is written, synced or kept up but by
// the Step methods, on the caller's goroutine. So a test decides what happens when, and a seed replays it.
func NewSteppedCommitter(o CommitterOptions) *Committer {
	c := newCommitter(o)
	c.limit = 0 // every group goes through the journal, if there is one
	if c.journal != nil {
		c.wanted.Store(true)
		c.prepareJournal()
		c.shareable.Store(c.journal.files.Room())
	}
	return c
}

// StepCommit lets one log write and sync one group, or with a journal all queued ones; false if none waits.
func (c *Committer) StepCommit() bool {
	c.mu.Lock()
	n := c.queue.len() + c.alone.len()
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	l, round := c.next()
	switch {
	case round != nil:
		c.round(round)
	case l.unfinished.group != nil:
		c.commitAlone(l)
	case l.commit(false) && !l.yield():
		c.push(l)
	}
	return true
}

// StepSettle does what the settler does after a round has filled a lap of the journal, false if none has.
func (c *Committer) StepSettle() bool {
	select {
	case <-c.order:
		c.prepareJournal()
		c.settleLaps()
		c.shareable.Store(c.journal.files.Room())
		return true
	default:
		return false
	}
}

// StepZero runs one job of making space ahead, false if there is none.
func (c *Committer) StepZero() bool {
	select {
	case j := <-c.zeroing:
		j.run()
		return true
	default:
		return false
	}
}

// StepUpkeep runs one job of upkeep, false if there is none.
func (c *Committer) StepUpkeep() bool {
	select {
	case l := <-c.upkeep:
		l.keepUp()
		return true
	default:
		return false
	}
}

// StepTick is what happens each second: the listed logs are sent to upkeep.
func (c *Committer) StepTick() {
	for _, l := range c.second() {
		c.upkeep <- l
	}
}

// CloseStepped closes the files that nobody uses.
func (c *Committer) CloseStepped() { c.closeFiles() }

// HasUpkeep tells whether StepUpkeep would do something.
func (c *Committer) HasUpkeep() bool { return len(c.upkeep) > 0 }

// FreeUnsynced is a bug: the settler takes full laps of the journal for settled.
func (c *Committer) FreeUnsynced() {
	for _, l := range c.unsettled.waiting() {
		c.settled(l, false)
	}
}

// TrustMark is a bug: the mark that was found when the log was opened is taken for durable.
func (l *Log) TrustMark() { l.core.marks.unsure = false }

// HideFromJournal is a bug while it is on: the log does not tell the journal what becomes of its files.
func (l *Log) HideFromJournal(on bool) { l.shared = !on && l.committer.journal != nil }
