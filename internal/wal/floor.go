package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/producer"
)

// A floor is a snapshot of the producers as of the first offset of a segment, in a file of its own. The marks and the
// producers' file tell of the log's end: of a replica that follows, that end may be cut off, down to the log start, and then
// they tell too much. The state is rebuilt from the newest floor below the cut, and the log from there on (L6). So before the
// batches below a segment are deleted, of which it could be rebuilt until then, that segment gets its floor: a
// producer outlives its batches (T1).
//
// Where the producers do not fit into a mark, floors are also taken when segments begin, and written by the upkeep. Else what is
// deleted would have to be read once more for it.
//
// A floor stays true as long as its segment exists, because what lies below is never changed, and segment numbers are
// given once. A leftover means nothing.

// floorPrefix begins the names of floors; the number of the segment follows.
const floorPrefix = producer.FileName + "_"

func floorName(number int64) string {
	return fmt.Sprintf("%s%0*d", floorPrefix, numberDigits, number)
}

// parseFloorName is the inverse of floorName; false for any other name.
func parseFloorName(name string) (number int64, ok bool) {
	digits, ok := strings.CutPrefix(name, floorPrefix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, err == nil && number >= 0 && floorName(number) == name
}

// floor is one that was taken and is not written yet.
type floor struct {
	number int64
	body   []byte
}

// A floor is taken when a segment begins only if the one before it is so many times larger.
const (
	floorShare      = 8
	floorPerTracked = 160 // bytes of a snapshot per producer, at most
)

// takeFloor encodes the state as the log ends now, where the next segment begins; nil if that is not worth it.
func (c *core) takeFloor() []byte {
	if n := c.producers.Len(); n <= maxInlineProducers || int64(n)*floorPerTracked*floorShare > c.plan.pos {
		return nil
	}
	return c.snapshotOf(stateProducers)
}

// writeFloorDue writes the floor that was taken last. The roll has made durable all that it tells of. An error is no loss: it is
// made anew when it is needed. The caller has the upkeep.
func (l *Log) writeFloorDue() {
	l.mu.Lock()
	due := l.floorDue
	l.floorDue = floor{}
	idle := due.body == nil || l.fenced
	l.mu.Unlock()
	if !idle {
		_ = l.writeFloor(due.number, due.body)
	}
}

// keepFloor gives the first segment that a deletion up to an offset leaves its floor, and returns it; nil if no segment goes.
// It reads what is about to go, if it must, and therefore needs the upkeep only: appends go on. What it finds out late,
// namely that more segments lie below that offset by now, waits for the next deletion.
func (l *Log) keepFloor(to model.Offset) (first *segment, err error) {
	l.writeFloorDue()
	var gone []*segment
	done := true
	l.locked(func(c *core) {
		if n := c.below(to); n > 0 {
			first = c.segs[n]
			gone = slices.Clone(c.segs[:n]) // sealed: they do not change
			done = to <= c.start || c.producers.Len() == 0 || slices.Contains(c.floors, first.number)
		}
	})
	if done {
		return first, nil
	}
	state, err := l.producersAt(gone, first.base)
	if errors.Is(err, ErrCorrupt) {
		return first, nil // nobody knows any more
	}
	if err != nil {
		return nil, fmt.Errorf("%s: learning of the producers below %d: %w", l.tp, first.base, err)
	}
	if state.Len() == 0 {
		return first, nil
	}
	state.Replicated(first.base) // what is deleted was
	err = l.writeFloor(first.number, state.AppendSnapshot(nil, first.base))
	if errors.Is(err, vfs.ErrNoSpace) {
		return first, nil // a full disk must be emptied (E3), even if a truncation forgets then
	}
	return first, err
}

func (l *Log) writeFloor(number int64, body []byte) error {
	if err := vfs.ReplaceFile(l.fs, l.path(floorName(number)), body); err != nil {
		return fmt.Errorf("writing %s of %s: %w", floorName(number), l.tp, err)
	}
	l.mu.Lock()
	l.core.floors = append(l.core.floors, number)
	l.mu.Unlock()
	return nil
}

// dropFloors removes the floors of segments that are gone. One that stays behind is found at the next open.
func (l *Log) dropFloors() {
	var stray []int64
	l.locked(func(c *core) {
		stands := func(number int64) bool {
			return slices.ContainsFunc(c.segs, func(s *segment) bool { return s.number == number })
		}
		for _, number := range c.floors {
			if !stands(number) {
				stray = append(stray, number)
			}
		}
		c.floors = slices.DeleteFunc(c.floors, func(number int64) bool { return !stands(number) })
		if !stands(l.floorDue.number) {
			l.floorDue = floor{}
		}
	})
	for _, number := range stray {
		_ = l.fs.RemoveAll(l.path(floorName(number)))
	}
}

// producersAt works out the producers as of an offset from the newest state at or below that is known, and the log
// from there on, which is that of segs.
func (l *Log) producersAt(segs []*segment, end model.Offset) (producer.State, error) {
	scratch := newCore(Config{})
	scratch.segs = segs
	known := [stateKinds]model.Offset{end, segs[0].base, end}
	p, at, ok, err := l.knownProducers(segs, end)
	if err != nil {
		return producer.State{}, err
	}
	if ok && at >= segs[0].base {
		scratch.producers, known[stateProducers] = p, at
	}
	if err := l.replayFrom(&scratch, known[stateProducers], end, &known); err != nil {
		return producer.State{}, err
	}
	scratch.producers.Settle(end)
	return scratch.producers, nil
}

// knownProducers finds the newest state of the producers as of end or before: in their file, in a mark, or in a floor. What is damaged
// is as good as missing; what cannot be read is an error, for it is there the next time (T1).
func (l *Log) knownProducers(segs []*segment, end model.Offset) (p producer.State, at model.Offset, ok bool, err error) {
	if p, at, ok, err = l.filedProducers(end); err != nil {
		return producer.State{}, 0, false, err
	}
	m, markedAt, marked, err := l.markedProducers(segs, end)
	if err != nil {
		return producer.State{}, 0, false, err
	}
	if marked && (!ok || markedAt > at) {
		p, at, ok = m, markedAt, true
	}
	for _, s := range slices.Backward(segs) {
		if ok && s.base <= at {
			break
		}
		if s.base > end {
			continue
		}
		if f, floored, err := l.floorOf(s); err != nil || floored {
			return f, s.base, floored, err
		}
	}
	return p, at, ok, nil
}

// floorOf reads a segment's floor, if it has one.
func (l *Log) floorOf(s *segment) (p producer.State, ok bool, err error) {
	there := false
	l.locked(func(c *core) { there = slices.Contains(c.floors, s.number) })
	if !there {
		return producer.State{}, false, nil
	}
	body, err := vfs.ReadFile(l.fs, l.path(floorName(s.number)))
	if errors.Is(err, fs.ErrNotExist) {
		return producer.State{}, false, nil // somebody has given it up
	}
	if err != nil {
		return producer.State{}, false, err
	}
	p, at, damage := producer.LoadSnapshot(body)
	return p, damage == nil && at == s.base, nil
}
