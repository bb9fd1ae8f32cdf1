package wal

// NewSteppedCommitter returns a Committer without goroutines: nothing is written, synced or kept up but by
// the Step methods, on the caller's goroutine. So a test decides what happens when, and a seed replays it.
func NewSteppedCommitter(o CommitterOptions) *Committer {
	c := &Committer{
		fs: o.FS, files: newFileCache(o.FS, o.OpenFiles), now: o.Now,
		zeroing: make(chan *zeroJob, 64), upkeep: make(chan *Log, 64),
		cold: make(chan struct{}, coldReaders), done: make(chan struct{}),
	}
	c.wake.L = &c.mu
	c.clockMs.Store(o.Now().UnixMilli())
	return c
}

// StepCommit lets one log write and sync one group, false if none waits.
func (c *Committer) StepCommit() bool {
	c.mu.Lock()
	n := c.queue.len()
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	l := c.pop()
	if l.commit() && !l.yield() {
		c.push(l)
	}
	return true
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
	c.clockMs.Store(c.now().UnixMilli())
	c.files.sweep(sweepTicks)
	c.mu.Lock()
	logs := c.listed
	c.listed = nil
	c.mu.Unlock()
	for _, l := range logs {
		c.upkeep <- l
	}
}

// CloseStepped closes the files that nobody uses.
func (c *Committer) CloseStepped() { c.files.closeAll() }

// HasUpkeep tells whether StepUpkeep would do something.
func (c *Committer) HasUpkeep() bool { return len(c.upkeep) > 0 }
