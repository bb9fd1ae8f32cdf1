package replica

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// Disk is one data directory.
type Disk struct {
	Dir       string
	Committer *wal.Committer
	// Failed, if not nil, is why the directory could not be used at the start. Its partitions are offline until the next one.
	Failed error
}

// Dir is the state of a data directory.
type Dir struct {
	Name string
	Err  error // why it is not used any more; nil: it is
}

// disk is a data directory at work.
type disk struct {
	layout
	commit *wal.Committer
	first  bool // it holds the metadata too
	failed atomic.Pointer[error]
	noted  chan struct{} // closed when it is on the disk that this one has failed
	held   int           // partitions, guarded by disks.mu
}

func (d *disk) failure() error {
	if err := d.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// disks are all data directories, and what lies where.
type disks struct {
	all   []*disk
	notes failedDirs
	gone  bool // there was one more

	mu      sync.Mutex
	placed  map[model.TopicPartition]*disk
	wanted  map[model.TopicPartition]*disk // for partitions that do not exist yet
	started bool                           // what is not found from now on is new
}

// find looks through the directories. One that cannot be looked through has failed, unless it is the first.
func (ds *disks) find(env *Env) error {
	ds.gone = env.DiskGone
	ds.placed, ds.wanted = make(map[model.TopicPartition]*disk), make(map[model.TopicPartition]*disk)
	for i, o := range env.Disks {
		d := &disk{layout: layout{fs: env.FS, root: o.Dir}, commit: o.Committer, first: i == 0, noted: make(chan struct{})}
		ds.all = append(ds.all, d)
		err := o.Failed
		if err == nil && d.first {
			if err = d.prepare(); err == nil {
				ds.notes, err = readFailedDirs(env.FS, path.Join(o.Dir, "wal", failedName))
			}
		}
		if err == nil {
			err = ds.look(d)
		}
		if err != nil && (d.first || errors.Is(err, errTwice)) {
			return fmt.Errorf("preparing the data directory %s: %w", o.Dir, err)
		}
		if err != nil {
			d.failed.Store(&err)
			env.Log.Error("a data directory cannot be used: its partitions are offline until it can and the server is started again", "dir", o.Dir, "error", err)
			if err := ds.note(d); err != nil {
				return err
			}
		}
	}
	for _, d := range ds.all {
		if d.failure() == nil {
			if err := ds.notes.remove(d.root); err != nil {
				return err
			}
		}
	}
	return nil
}

// note makes durable that a directory has failed. What is in it may be out of date from then on.
func (ds *disks) note(d *disk) error {
	defer close(d.noted)
	if err := ds.notes.add(d.root); err != nil {
		return fmt.Errorf("noting that the data directory %s has failed: %w", d.root, err)
	}
	return nil
}

// look finds the partitions in one directory.
func (ds *disks) look(d *disk) error {
	if err := d.prepare(); err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(d.partitions())
	if err != nil {
		return err
	}
	for _, e := range entries {
		tp, err := model.ParseTopicPartition(e.Name)
		if err != nil || !e.IsDir {
			continue
		}
		at := d
		if other := ds.placed[tp]; other != nil {
			if at, err = ds.choose(tp, other, d); err != nil {
				return err
			}
		}
		ds.put(tp, at)
	}
	return nil
}

var errTwice = errors.New("a partition is in two data directories")

// choose decides between two directories of one partition: one of them is out of date, as the partition was removed and came back while
// its directory could not be used; or a move was cut short, see move.
func (ds *disks) choose(tp model.TopicPartition, a, b *disk) (*disk, error) {
	loser := a
	fa, fb := ds.notes.has(a.root), ds.notes.has(b.root)
	if fa == fb { // a move has come so far that both are the same
		fa, fb = !a.marked(tp), !b.marked(tp)
	}
	switch {
	case fa == fb:
		return nil, fmt.Errorf("%w: %s in %s and in %s: move the older of the two away", errTwice, tp, a.root, b.root)
	case fa:
		a = b
	default:
		loser = b
	}
	_, err := loser.bury(loser.partition(tp), model.TopicID{}, tp.Partition) // its files go at the next start
	return a, err
}

// put says where a partition is. The caller has the mutex, or nobody else has the disks.
func (ds *disks) put(tp model.TopicPartition, d *disk) {
	if old := ds.placed[tp]; old != nil {
		old.held--
	}
	ds.placed[tp] = d
	d.held++
}

// moved says that a partition has moved, if it is not gone meanwhile.
func (ds *disks) moved(tp model.TopicPartition, from, to *disk) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.placed[tp] == from {
		ds.put(tp, to)
	}
}

// place finds the directory of a partition, or chooses one for a new partition: the one that was asked for, or else the one with the fewest. It
// is nil if the partition may lie in a directory that cannot be used; or in one that is gone, unless there are others to restore it from.
func (ds *disks) place(tp model.TopicPartition, alone bool) *disk {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.placed[tp]; d != nil {
		return d
	}
	if ds.gone && alone && !ds.started {
		return nil
	}
	var best *disk
	for _, d := range ds.all {
		switch {
		case d.failure() != nil && !ds.started:
			return nil
		case d.failure() == nil && (best == nil || d.held < best.held):
			best = d
		}
	}
	if d := ds.wanted[tp]; d != nil && d.failure() == nil {
		best = d
	}
	delete(ds.wanted, tp)
	if best != nil {
		ds.put(tp, best)
	}
	return best
}

// drop forgets a partition that was removed from here.
func (ds *disks) drop(tp model.TopicPartition) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.placed[tp]; d != nil {
		d.held--
		delete(ds.placed, tp)
	}
}

// several tells whether partitions are spread: then each has its directory from the beginning, so that one that is missing is known.
func (ds *disks) several() bool { return len(ds.all) > 1 }

// marked tells whether a move has put a partition here.
func (d *disk) marked(tp model.TopicPartition) bool {
	_, err := d.fs.Stat(path.Join(d.partition(tp), movedName))
	return err == nil
}

// named finds a directory; nil if there is none of that name.
func (ds *disks) named(dir string) *disk {
	for _, d := range ds.all {
		if path.Clean(d.root) == path.Clean(dir) {
			return d
		}
	}
	return nil
}

// want says where a partition is to lie when it comes.
func (ds *disks) want(tp model.TopicPartition, d *disk) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if len(ds.wanted) < mostWanted {
		ds.wanted[tp] = d
	}
}

// mostWanted bounds what anybody can have remembered.
const mostWanted = 10_000

// Started says that the partitions which the metadata knew at the start are all in the set: from now on, what is not found in any
// directory is new.
func (s *Set) Started() {
	s.disks.mu.Lock()
	defer s.disks.mu.Unlock()
	s.disks.started = true
}

// Dirs are the data directories, the first one first.
func (s *Set) Dirs() []Dir {
	out := make([]Dir, len(s.disks.all))
	for i, d := range s.disks.all {
		out[i] = Dir{Name: d.root, Err: d.failure()}
	}
	return out
}

// Dir is the data directory in which the replica lies; empty if that cannot be used.
func (r *Replica) Dir() string {
	if d := r.disk.Load(); d != nil && d.failure() == nil {
		return d.root
	}
	return ""
}
