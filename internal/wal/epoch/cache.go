package epoch

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"chronik/internal/model"
)

// ErrBackwards is returned by Assign for an epoch, or a start offset, that lies below what is known. A
// leader epoch only grows (R1): whoever brings an older one must be refused, not believed.
var ErrBackwards = errors.New("leader epoch goes backwards")

// Entry says that the records from Start on, up to the next entry's Start, were appended in Epoch.
type Entry struct {
	Epoch model.LeaderEpoch
	Start model.Offset
}

// Cache is the list of entries of one partition. The zero Cache is empty and ready to use.
type Cache struct {
	entries []Entry
}

// Assign records that epoch begins at start; it reports whether that was news. An epoch that is known
// already keeps its first start offset. An epoch that began where the new one begins has left no record
// and is forgotten. Batches without an epoch (model.NoEpoch) change nothing.
func (c *Cache) Assign(epoch model.LeaderEpoch, start model.Offset) (changed bool, err error) {
	if epoch < 0 {
		return false, nil
	}
	last, ok := c.Latest()
	switch {
	case start < 0:
		return false, fmt.Errorf("%w: epoch %d cannot start at offset %d", ErrBackwards, epoch, start)
	case !ok:
	case epoch < last.Epoch || start < last.Start:
		return false, fmt.Errorf("%w: epoch %d at offset %d comes after epoch %d at offset %d",
			ErrBackwards, epoch, start, last.Epoch, last.Start)
	case epoch == last.Epoch:
		return false, nil
	case start == last.Start:
		c.entries[len(c.entries)-1] = Entry{epoch, start}
		return true, nil
	}
	c.entries = append(c.entries, Entry{epoch, start})
	return true, nil
}

// EndOffset answers OffsetForLeaderEpoch: the largest known epoch that is not above the one asked for,
// and the offset at which it ended, which is logEnd for the latest. For an epoch below all that are
// known it answers the asked epoch and the first offset of the log's epochs: its records are deleted,
// and a follower has to begin there. For NoEpoch and for one above the latest there is no answer:
// (NoEpoch, NoOffset).
func (c *Cache) EndOffset(epoch model.LeaderEpoch, logEnd model.Offset) (model.LeaderEpoch, model.Offset) {
	last, ok := c.Latest()
	switch {
	case !ok || epoch < 0 || epoch > last.Epoch:
		return model.NoEpoch, model.NoOffset
	case epoch == last.Epoch:
		return epoch, logEnd
	}
	next := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Epoch > epoch })
	if next == 0 {
		return epoch, c.entries[0].Start
	}
	return c.entries[next-1].Epoch, c.entries[next].Start
}

// At returns the epoch in which the record at off was, or would be, appended; NoEpoch if off lies
// before all entries.
func (c *Cache) At(off model.Offset) model.LeaderEpoch {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > off })
	if i == 0 {
		return model.NoEpoch
	}
	return c.entries[i-1].Epoch
}

// Latest returns the entry of the newest epoch, and false if there is none.
func (c *Cache) Latest() (Entry, bool) {
	if len(c.entries) == 0 {
		return Entry{Epoch: model.NoEpoch, Start: model.NoOffset}, false
	}
	return c.entries[len(c.entries)-1], true
}

// Entries returns a copy, oldest first.
func (c *Cache) Entries() []Entry { return slices.Clone(c.entries) }

// TruncateFromEnd follows a log whose end is now logEnd: epochs that began there or later have no
// record left. It reports whether anything changed.
func (c *Cache) TruncateFromEnd(logEnd model.Offset) bool {
	keep := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= logEnd })
	if keep == len(c.entries) {
		return false
	}
	c.entries = c.entries[:keep]
	return true
}

// TruncateFromStart follows a log whose start is now logStart: epochs that ended before it are
// forgotten, and the one that holds it begins at it. The latest epoch always stays. It reports whether
// anything changed.
func (c *Cache) TruncateFromStart(logStart model.Offset) bool {
	first := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > logStart }) - 1
	if first < 0 || first == 0 && c.entries[0].Start == logStart {
		return false
	}
	c.entries = slices.Delete(c.entries, 0, first)
	c.entries[0].Start = logStart
	return true
}
