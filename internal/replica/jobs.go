package replica

import "sync"

// jobs are what waits for the disk: logs to be opened, cut or read for a follower that is behind. They are done in order, a few at
// a time, on goroutines that end when there is nothing left (R8).
type jobs struct {
	limit int

	mu      sync.Mutex
	queue   []func()
	workers int
	stopped bool
	all     sync.WaitGroup
}

// do has a job done soon. After stop it is dropped.
func (j *jobs) do(job func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return
	}
	j.queue = append(j.queue, job)
	if j.workers < j.limit {
		j.workers++
		j.all.Go(j.work)
	}
}

func (j *jobs) work() {
	for {
		j.mu.Lock()
		if len(j.queue) == 0 {
			j.queue = nil
			j.workers--
			j.mu.Unlock()
			return
		}
		job := j.queue[0]
		j.queue = j.queue[1:]
		j.mu.Unlock()
		job()
	}
}

// stop drops what has not begun, and waits for what has.
func (j *jobs) stop() {
	j.mu.Lock()
	j.stopped, j.queue = true, nil
	j.mu.Unlock()
	j.all.Wait()
}
