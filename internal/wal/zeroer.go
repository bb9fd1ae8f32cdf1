package wal

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/vfs"
)

// Space made ahead. A sync of bytes that lie in zeroed space changes no metadata of the file, which makes
// it several times cheaper than one that extends the file.
const (
	minAhead = 16 << 10
	maxAhead = 1 << 20
	// bigGroup is the size from which a group extends the file: zeroing first would write everything twice,
	// and the sync is a small part of the write.
	bigGroup = 256 << 10
	// zeroChunk is how much is zeroed and synced at a time. A commit's sync that meets one waits for it, so it
	// is small: more space at once makes the slowest commits slower and the others no faster.
	zeroChunk = 256 << 10
	// aheadGroups is how many groups a log must commit within one tick before space is made for it.
	aheadGroups = 4
	// An amount that lasted less than aheadTooShort is doubled the next time, one that lasted longer than
	// aheadTooLong is halved.
	aheadTooShort = 250 * time.Millisecond
	aheadTooLong  = 4 * time.Second
)

var zeros [zeroChunk]byte

// space is the zeroed part of the active segment's file. It is guarded by the log's mutex.
//
// L3: the zeroer works only from the frontier up, no append passes the frontier while it works, and the
// frontier moves after the zeros' own sync.
type space struct {
	frontier int64     // the file is data or zeros up to here
	job      *zeroJob  // queued or under way; nil: there is none
	ahead    int64     // how much space there should be
	begun    time.Time // of the last job
	groups   int       // small groups since the last tick
	full     bool      // the disk had no space; tried again after the next tick
	failed   error     // a zero job failed: nothing may be acknowledged any more (D3)
}

// want decides after a group whether space must be made, and how much.
func (s *space) want(end, groupBytes, segmentEnd int64, now func() time.Time) (from, to int64) {
	if groupBytes >= bigGroup {
		return 0, 0
	}
	s.groups++
	if s.job != nil || s.full || s.groups < aheadGroups || s.frontier-end > s.ahead/2 || s.frontier >= segmentEnd {
		return 0, 0
	}
	t := now()
	switch lasted := t.Sub(s.begun); {
	case s.ahead == 0:
		s.ahead = minAhead
	case lasted < aheadTooShort:
		s.ahead = min(2*s.ahead, maxAhead)
	case lasted > aheadTooLong:
		s.ahead = max(s.ahead/2, minAhead)
	}
	s.begun = t
	return s.frontier, min(s.frontier+min(s.ahead, zeroChunk), segmentEnd)
}

// zeroJob is an order for zeros in [from, to) of a file. It opens the file anew: Linux reports a failed
// write-back once to each open file, so a sync here must not take away the error that a commit should see.
type zeroJob struct {
	log      *Log
	name     string
	from, to int64
	started  bool          // guarded by the log's mutex
	over     chan struct{} // closed when a started job is over
}

// makeAhead asks for space behind the group that was just committed. The caller has the turn.
func (l *Log) makeAhead(f *file, g *group) {
	var j *zeroJob
	l.locked(func(c *core) {
		from, to := l.space.want(g.pos+g.bytes, g.bytes, headerBytes+c.cfg.segmentBytes(), l.committer.now)
		if from < to {
			j = &zeroJob{log: l, name: f.name, from: from, to: to, over: make(chan struct{})}
			l.space.job = j
		}
	})
	if j == nil {
		return
	}
	select {
	case l.committer.zeroing <- j:
	default: // the zeroer is behind; this log extends its file meanwhile
		l.cancelZeroing()
	}
}

func (c *Committer) makeSpace() {
	for {
		select {
		case <-c.done:
			return
		case j := <-c.zeroing:
			j.run()
		}
	}
}

func (j *zeroJob) run() {
	l := j.log
	l.mu.Lock()
	if l.space.job != j {
		l.mu.Unlock()
		return // cancelled
	}
	j.started = true
	l.mu.Unlock()
	err := j.write()
	full := errors.Is(err, vfs.ErrNoSpace)
	l.mu.Lock()
	switch {
	case err == nil:
		l.space.frontier = max(l.space.frontier, j.to)
	case full:
		l.space.full = true
	default:
		l.space.failed = fmt.Errorf("making space in %s: %w", j.name, err)
	}
	l.space.job = nil
	l.mu.Unlock()
	close(j.over)
	if err != nil && !full {
		l.fenceIdle()
	}
}

// fenceIdle fences a log for which making space has failed. If somebody else has the turn, the next commit
// or the next upkeep does it.
func (l *Log) fenceIdle() {
	l.mu.Lock()
	err := l.space.failed
	got := err != nil && !l.fenced && l.turn.tryTake()
	l.mu.Unlock()
	if got {
		l.fence(err)
		l.endTurn()
	}
}

// write puts zeros there and syncs them. ErrNoSpace means that the disk was full before the sync.
func (j *zeroJob) write() error {
	f, err := j.log.fs.Open(j.name)
	if err != nil {
		return err
	}
	defer f.Close() // everything written is synced, or the log is fenced
	if _, err := f.WriteAt(zeros[:j.to-j.from], j.from); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %v", err) // not wrapped: whatever it is, it is final (D3)
	}
	return nil
}

// spaceFailed is why nothing may be acknowledged any more, nil if the zeroer had no failure.
func (l *Log) spaceFailed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.space.failed
}

// syncFile syncs the active segment. A sync that succeeds means nothing if one of the zeroer's has failed before: that may have taken the
// pages, and their length, for clean (D3). The caller has the turn.
func (l *Log) syncFile(f *file) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return l.spaceFailed()
}

// claim makes sure that the turn's holder may write up to end: if that is past the frontier, the zeroer
// must not be at work.
func (l *Log) claim(end int64) {
	l.mu.Lock()
	past := end > l.space.frontier
	l.mu.Unlock()
	if !past {
		return
	}
	l.stopZeroing()
	l.mu.Lock()
	l.space.frontier = max(l.space.frontier, end)
	l.mu.Unlock()
}

// stopZeroing cancels the zero job, or waits for it if it is under way. None begins while the caller has
// the turn.
func (l *Log) stopZeroing() {
	if j := l.cancelZeroing(); j != nil {
		<-j.over
	}
}

// cancelZeroing drops a job that has not started; it returns one that has.
func (l *Log) cancelZeroing() *zeroJob {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j := l.space.job; j != nil && j.started {
		return j
	}
	l.space.job = nil
	return nil
}
