package wal

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/vfs"
)

// CommitterOptions sizes a Committer. Zero values mean the defaults.
type CommitterOptions struct {
	FS        vfs.FS
	Workers   int              // logs that write and sync at the same time
	OpenFiles int              // files kept open at most while nobody uses them
	Tick      time.Duration    // how often marks, expiry and idle files are seen to; a second (L2)
	Now       func() time.Time // nil: time.Now
	Journal   *Journal         // the device's, nil if its logs sync each for itself
}

const (
	defaultOpenFiles = 1024
	defaultTick      = time.Second
	sweepTicks       = 10 // an unused file is closed after so many ticks
	upkeepWorkers    = 2
	coldReaders      = 2
)

// Committer writes and syncs the logs of one device. Its workers take the busy logs in turn, so that one
// busy log cannot hold up the others; while a log's sync runs, its next group gathers, which is all the
// batching there is: no timer.
//
// Off the commit path it also makes space ahead, keeps indexes and marks, and bounds the open files and
// the cold reads of the device. Logs that must not wait for others, as the metadata log, get a Committer
// of their own.
type Committer struct {
	fs      vfs.FS
	files   *fileCache
	behind  behind
	now     func() time.Time
	clockMs atomic.Int64 // of the last tick: good enough to tell when a producer was seen last

	mu        sync.Mutex
	wake      sync.Cond // the queue has grown, or the committer closes
	queue     fifo
	waiting   atomic.Int32 // length of queue
	closed    bool
	listed    []*Log // that the next tick looks after
	wasListed bool   // the last one had some
	rounds

	zeroing chan *zeroJob
	upkeep  chan *Log
	cold    chan struct{} // a slot per cold reader
	done    chan struct{}
	running sync.WaitGroup
}

// NewCommitter starts the workers of one device. Close ends them.
func NewCommitter(o CommitterOptions) *Committer {
	if o.Workers <= 0 {
		o.Workers = defaultWorkers()
	}
	if o.OpenFiles <= 0 {
		o.OpenFiles = defaultOpenFiles
	}
	if o.Tick <= 0 {
		o.Tick = defaultTick
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := newCommitter(o)
	for range o.Workers {
		c.running.Go(c.work)
	}
	for range upkeepWorkers {
		c.running.Go(c.keepUp)
	}
	c.running.Go(c.makeSpace)
	c.running.Go(func() { c.tick(o.Tick) })
	if c.journal != nil {
		c.running.Go(c.keepJournal)
	}
	return c
}

func newCommitter(o CommitterOptions) *Committer {
	c := &Committer{
		fs: o.FS, files: newFileCache(o.FS, o.OpenFiles), now: o.Now,
		zeroing: make(chan *zeroJob, 64), upkeep: make(chan *Log, 64),
		cold: make(chan struct{}, coldReaders), done: make(chan struct{}),
		rounds: rounds{journal: o.Journal, limit: shareAt, order: make(chan struct{}, 1)},
	}
	c.wake.L = &c.mu
	c.clockMs.Store(o.Now().UnixMilli())
	return c
}

// defaultWorkers is enough to keep a device's queue filled; a worker that waits for a sync costs a thread
// and no processor.
func defaultWorkers() int { return max(4, min(16, 4*runtime.GOMAXPROCS(0))) }

// Close ends the workers and closes the files. The logs must have been closed before. The journal is emptied, unless a
// log was fenced whose last records are certain there only.
func (c *Committer) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	c.wake.Broadcast()
	close(c.done)
	c.running.Wait()
	c.closeFiles()
}

func (c *Committer) closeFiles() {
	if c.journal != nil {
		_ = c.journal.files.Close(c.unsettled.end()) // what is not emptied is replayed, which changes nothing
	}
	c.files.closeAll()
}

// OpenFiles is the number of files that are open now.
func (c *Committer) OpenFiles() int { return c.files.len() }

// push queues a log whose turn the committer has.
func (c *Committer) push(l *Log) {
	c.mu.Lock()
	c.queue.push(l)
	c.waiting.Add(1)
	gathers := c.open // whoever commits the round under way looks again after it
	c.mu.Unlock()
	if !gathers {
		c.wake.Signal()
	}
}

func (c *Committer) work() {
	for {
		l, round := c.next()
		switch {
		case round != nil:
			c.round(round)
		case l != nil:
			c.commitAlone(l)
		default:
			return
		}
	}
}

// commitAlone commits a log until others wait or it has nothing left.
func (c *Committer) commitAlone(l *Log) {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	if l.unfinished.group != nil {
		l.finishUnfinished()
		return
	}
	for l.commit(c.quiet()) && !l.yield() {
	}
}

// quiet tells that nothing but the caller's log is committed, and nothing waits to be.
func (c *Committer) quiet() bool { return c.busy.Load() == 1 && c.waiting.Load() == 0 }

// fifo is a queue in a ring.
type fifo struct {
	ring []*Log
	head int
	n    int
}

func (q *fifo) len() int { return q.n }

func (q *fifo) push(l *Log) {
	if q.n == len(q.ring) {
		ring := make([]*Log, max(16, 2*len(q.ring)))
		for i := range q.n {
			ring[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.n)%len(q.ring)] = l
	q.n++
}

func (q *fifo) pop() *Log {
	l := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return l
}

// list has the next tick look after a log.
func (c *Committer) list(l *Log) {
	c.mu.Lock()
	c.listed = append(c.listed, l)
	c.mu.Unlock()
}

// tick keeps the clock and sends the logs that have something to be seen to to the upkeep workers.
func (c *Committer) tick(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-t.C:
		}
		for _, l := range c.second() {
			select {
			case c.upkeep <- l:
			case <-c.done:
				return
			}
		}
	}
}

// second is what a tick does, but for handing the logs that it returns to the upkeep.
func (c *Committer) second() (listed []*Log) {
	c.clockMs.Store(c.now().UnixMilli())
	c.files.sweep(sweepTicks)
	if c.wanted.Load() && !c.shareable.Load() {
		c.wakeSettler()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	listed, c.listed = c.listed, nil
	c.wasListed = len(listed) > 0
	return listed
}

func (c *Committer) keepUp() {
	for {
		select {
		case <-c.done:
			return
		case l := <-c.upkeep:
			l.keepUp()
		}
	}
}
