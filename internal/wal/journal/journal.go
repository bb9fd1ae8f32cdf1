package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"chronik/internal/vfs"
)

// Reasons why the journal takes no record.
var (
	// ErrFull: both halves hold what is not synced elsewhere yet. Nothing was written; try again later.
	ErrFull = errors.New("the journal is full")
	// ErrUnready: Prepare has not succeeded yet.
	ErrUnready = errors.New("the journal is not prepared")
	// ErrFailed: a write or sync failed before, so nothing is added any more (D3).
	ErrFailed = errors.New("the journal has failed")
)

const (
	halves    = 2
	zeroChunk = 256 << 10
	minHalf   = 4 * pageBytes
)

// fileNames are the halves' names in the journal's directory; a generation lies in that of its lowest bit.
var fileNames = [halves]string{"journal_0", "journal_1"}

var zeros [zeroChunk]byte

// Options says where the journal is. The directory is made when it is first needed.
type Options struct {
	FS        vfs.FS
	Dir       string
	HalfBytes int64 // the size of each of the two files
}

// Journal is the writing side. It must be made over a directory that Clear has emptied.
type Journal struct {
	fs   vfs.FS
	dir  string
	size int64

	io       sync.Mutex // one record in flight; guards what follows
	pos      int64      // where the next record goes in the current half
	seq      uint64     // of the last record
	lastVoid uint64
	buf      []byte
	bufs     [][]byte

	mu      sync.Mutex
	ready   bool
	failure error
	current lapHeader // generation 0: no lap has begun
	half    [halves]half
}

// half is one of the two files. A lap that is free may be overwritten; until it is, its records are still there.
type half struct {
	file vfs.File
	free bool
	full bool
	keys map[string][]Key // the logs that its records name and do not void, by directory: one, or a few that had it in turn
}

// New makes a journal; it does no I/O.
func New(o Options) *Journal {
	return &Journal{fs: o.FS, dir: o.Dir, size: max(pages(o.HalfBytes), minHalf)}
}

// Usable tells whether the journal takes records, room permitting.
func (j *Journal) Usable() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ready && j.failure == nil
}

// Failure is why the journal takes no records any more, nil if it does or will.
func (j *Journal) Failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failure
}

func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure == nil {
		j.failure = fmt.Errorf("%w: %w", ErrFailed, err)
	}
}

// Add makes ranges durable in one record, and returns the generation of the lap that holds it. ErrFull and
// ErrUnready mean that nothing was written. After any other error the ranges may be found after a restart, or not, and the
// journal takes no more.
func (j *Journal) Add(ranges []Range) (gen uint64, err error) {
	j.io.Lock()
	defer j.io.Unlock()
	if err := j.takes(); err != nil {
		return 0, err
	}
	h := recordHead{kind: kindRanges}
	j.compose(&h, ranges)
	defer j.letGo()
	if err := j.makeRoom(pages(h.size())); err != nil {
		return 0, err
	}
	j.note(ranges)
	return j.current.gen, j.write(&h)
}

// Void makes durable that what was added of a log so far does not count any more. It does nothing if no record names
// the log. It needs no room: a full half grows by it.
func (j *Journal) Void(k Key) error {
	return j.void(k.Dir, func(held Key) bool { return held == k })
}

// VoidDir is Void of every log that had a directory, whatever its topic.
func (j *Journal) VoidDir(dir string) error {
	return j.void(dir, func(Key) bool { return true })
}

func (j *Journal) void(dir string, which func(Key) bool) error {
	j.io.Lock()
	defer j.io.Unlock()
	gone := j.held(dir, which)
	if len(gone) == 0 {
		return nil
	}
	if err := j.takes(); err != nil {
		return err
	}
	h := recordHead{kind: kindVoid}
	j.compose(&h, gone)
	defer j.letGo()
	if err := j.write(&h); err != nil {
		return err
	}
	j.lastVoid = j.seq
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.half {
		keys := j.half[i].keys
		left := slices.DeleteFunc(keys[dir], which)
		if delete(keys, dir); len(left) > 0 {
			keys[dir] = left
		}
	}
	return nil
}

// held returns the logs of a directory that records name, of those that are asked for, as entries of a void record.
func (j *Journal) held(dir string, which func(Key) bool) []Range {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Range
	for i := range j.half {
		for _, k := range j.half[i].keys[dir] {
			if which(k) && !slices.ContainsFunc(out, func(r Range) bool { return r.Key == k }) {
				out = append(out, Range{Key: k})
			}
		}
	}
	return out
}

// Holds tells whether a record names a log, so that a restart after a crash would write to its files.
func (j *Journal) Holds(k Key) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.half {
		if slices.Contains(j.half[i].keys[k.Dir], k) {
			return true
		}
	}
	return false
}

func (j *Journal) takes() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure == nil && !j.ready {
		return ErrUnready
	}
	return j.failure
}

// compose puts a record into j.bufs, but for its head, which has not got its place yet.
func (j *Journal) compose(h *recordHead, ranges []Range) {
	j.buf = append(j.buf[:0], make([]byte, headBytes)...)
	for i := range ranges {
		j.buf = appendEntry(j.buf, &ranges[i])
	}
	h.entries, h.table = uint32(len(ranges)), uint32(len(j.buf)-headBytes)
	j.bufs = append(j.bufs[:0], j.buf)
	for i := range ranges {
		for _, b := range ranges[i].Bufs {
			j.bufs = append(j.bufs, b)
			h.payload += uint32(len(b))
		}
	}
	if rest := pages(h.size()) - h.size(); rest > 0 {
		j.bufs = append(j.bufs, zeros[:rest])
	}
}

func (j *Journal) letGo() { clear(j.bufs) } // the batches' memory is used again

// note remembers whom a record names, before it can be on the disk.
func (j *Journal) note(ranges []Range) {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys := j.half[j.current.gen%halves].keys
	for i := range ranges {
		if k := ranges[i].Key; !slices.Contains(keys[k.Dir], k) {
			keys[k.Dir] = append(keys[k.Dir], k)
		}
	}
}

// write puts the composed record at the end of the current lap and syncs it.
func (j *Journal) write(h *recordHead) error {
	lap := &j.current // changed only with io held
	h.gen, h.seq, h.lastVoid = lap.gen, j.seq+1, j.lastVoid
	sum := crc32.Update(lap.secret, castagnoli, j.buf[headBytes:])
	left := int64(h.payload)
	for _, b := range j.bufs[1:] {
		n := min(left, int64(len(b)))
		sum = crc32.Update(sum, castagnoli, b[:n])
		left -= n
	}
	h.bodySum = sum
	h.encode(j.buf, lap.secret)
	f := j.half[lap.gen%halves].file
	_, err := f.WriteVAt(j.bufs, j.pos)
	if err != nil {
		err = fmt.Errorf("writing record %d of the journal: %w", h.seq, err)
	} else if err = vfs.SyncParked(f); err != nil {
		err = fmt.Errorf("syncing record %d of the journal: %v", h.seq, err) // ErrNoSpace or not: final (D3)
	}
	if err != nil {
		j.fail(err)
		return err
	}
	j.seq = h.seq
	j.pos += pages(h.size())
	return nil
}
