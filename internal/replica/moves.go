package replica

import (
	"context"
	"path"
	"sync"

	"chronik/internal/model"
)

// moves are the replicas on their way to other data directories, a few at a time.
type moves struct {
	sync.Mutex // of beginning and giving up
	ctx        context.Context
	stop       context.CancelFunc
	slots      chan struct{}
	running    sync.WaitGroup
}

func (m *moves) prepare() {
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.slots = make(chan struct{}, parallelMoves)
}

// end stops all of them. They begin anew at the next start.
func (m *moves) end() {
	m.Lock()
	m.stop()
	m.Unlock()
	m.running.Wait()
}

// endMove gives up the move of a replica that is being removed. What it returns waits for its end, and for that of a rebuild.
func (s *Set) endMove(r *Replica) (wait func()) {
	rebuilt := r.rebuilt()
	m := r.moving.Load()
	if m == nil {
		return rebuilt
	}
	m.cancel()
	return func() {
		<-m.done
		rebuilt()
	}
}

// resumeMoves begins the moves anew that the end of the process has cut short, and removes what is left of others.
func (s *Set) resumeMoves(d *disk) error {
	if !s.disks.several() {
		return nil
	}
	if err := s.env.FS.MkdirAll(d.moving()); err != nil {
		return err
	}
	entries, err := s.env.FS.ReadDir(d.moving())
	if err != nil {
		return err
	}
	for _, e := range entries {
		tp, err := model.ParseTopicPartition(e.Name)
		r := s.Get(tp)
		if err != nil || r == nil || r.disk.Load() == d {
			if err := s.env.FS.RemoveAll(path.Join(d.moving(), e.Name)); err != nil {
				return err
			}
			continue
		}
		s.moves.Lock()
		if r.moving.Load() == nil && s.moves.ctx.Err() == nil {
			s.begin(r, d)
		}
		s.moves.Unlock()
	}
	return nil
}
