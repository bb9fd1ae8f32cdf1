package replica

import (
	"errors"
	"io/fs"
	"slices"
	"sync"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Cut is a log that lost its end, or all of it, when it was recovered. What was lost may have been acknowledged: the controller must
// hear of it with the registration, before this replica is elected (L2).
type Cut struct {
	Topic     model.TopicID
	Partition int32
	End       model.Offset // what is left; model.NoOffset: not known
}

// Losses remembers which logs of a broker lost records, on the disk, from before they are cut until the controller has heard of it
// (L2). Recovery repairs a log, so a second start finds nothing wrong with it: without this file a crash between the repair and
// the registration would let the broker be elected as if it had lost nothing. See docs/format/lost_logs.md.
//
// Any goroutine may call it. A nil *Losses forgets everything: a broker alone has nobody to compare its logs with.
type Losses struct {
	fs   vfs.FS
	dir  string
	turn chan struct{} // whoever has put a token in may use the file

	mu     sync.Mutex
	slots  []slot // in the file, in its order, from the first that is not crossed out
	first  int    // which one that is
	listed int    // those below are on their way to the controller: what comes now must be told after them
	again  bool   // the last one was needed once more since
}

// OpenLosses reads what is remembered in a data directory, which must exist. A file that is damaged counts as saying that any log
// may have lost records.
func OpenLosses(fsys vfs.FS, dir string) (*Losses, error) {
	l := &Losses{fs: fsys, dir: dir, turn: make(chan struct{}, 1)}
	data, err := vfs.ReadFile(fsys, l.name())
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.make(); err != nil && !errors.Is(err, vfs.ErrNoSpace) { // then it is made when it is needed
			return nil, err
		}
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	var ok bool
	if l.first, l.slots, ok = decodeLosses(data); !ok {
		l.slots = []slot{{kind: anyLog}}
		return l, l.make(l.slots...)
	}
	return l, l.settle()
}

// settle makes durable what was read: a process that died may have left it in the page cache only.
func (l *Losses) settle() error {
	if len(l.slots) > 0 {
		if err := l.write(l.first, encodeSlots(l.slots)); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}

// Note remembers a log that is about to be cut or thrown away, or was found damaged, or is not there. It is on the disk when Note
// returns, and takes no free space.
func (l *Losses) Note(c Cut) error { return l.note(slot{kind: oneLog, cut: c}) }

// NoteAll remembers that any log may have lost records.
func (l *Losses) NoteAll() error { return l.note(slot{kind: anyLog}) }

func (l *Losses) note(s slot) error {
	if l == nil {
		return nil
	}
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.mu.Lock()
	if l.covered(&s) {
		l.mu.Unlock()
		return nil
	}
	if len(l.slots) == 0 {
		l.first, l.listed = 0, 0
	}
	at := l.first + len(l.slots)
	l.mu.Unlock()
	if at >= lastSlot { // there are too many to name
		at, s = lastSlot, slot{kind: anyLog}
	}
	if err := l.write(at, s.encode()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = at-l.first < len(l.slots)
	l.slots = append(l.slots[:at-l.first], s)
	return nil
}

// covered tells whether what the controller is to be told of yet says as much.
func (l *Losses) covered(s *slot) bool {
	return slices.ContainsFunc(l.slots[max(l.listed-l.first, 0):], func(o slot) bool {
		return o.kind == anyLog || o.kind == s.kind && o.cut.Topic == s.cut.Topic && o.cut.Partition == s.cut.Partition && o.cut.End <= s.cut.End
	})
}

// list returns the logs that lost records, with the least that may be left of each, and whether any other may have too. told
// forgets all this: the controller knows it.
func (l *Losses) list() (cuts map[partitionID]model.Offset, all bool, told func() error) {
	cuts = make(map[partitionID]model.Offset)
	if l == nil {
		return cuts, false, func() error { return nil }
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.slots {
		s := &l.slots[i]
		all = all || s.kind == anyLog
		id := partitionID{s.cut.Topic, s.cut.Partition}
		if end, ok := cuts[id]; s.kind == oneLog && (!ok || s.cut.End < end) {
			cuts[id] = s.cut.End
		}
	}
	end := l.first + len(l.slots)
	l.listed, l.again = end, false
	return cuts, all, func() error { return l.crossOut(end) }
}

// crossOut forgets what the slots below one say.
func (l *Losses) crossOut(end int) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.mu.Lock()
	first := l.first
	if l.again {
		end = min(end, lastSlot)
	}
	l.mu.Unlock()
	if first >= end {
		return nil
	}
	if err := l.write(first, make([]byte, (end-first)*slotBytes)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots, l.first, l.again = slices.Clone(l.slots[end-first:]), end, false
	return nil
}
