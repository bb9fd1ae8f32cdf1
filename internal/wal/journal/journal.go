package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"sync"

	"chronik/internal/invariant"
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
	keys map[Key]struct{} // the logs that its records name and do not void
}

// New makes a journal; it does no I/O.
func New(o Options) *Journal {
	return &Journal{fs: o.FS, dir: o.Dir, size: max(pages(o.HalfBytes), minHalf)}
}

// Prepare makes the two files, of zeros, durable. After an error that matches vfs.ErrNoSpace it may be tried
// again; the files are empty then. Any other error is final.
func (j *Journal) Prepare() error {
	j.io.Lock()
	defer j.io.Unlock()
	if j.Usable() || j.Failure() != nil {
		return j.Failure()
	}
	err := j.fs.MkdirAll(j.dir)
	var files [halves]vfs.File
	for i := range files {
		if err == nil {
			files[i], err = j.zeroed(path.Join(j.dir, fileNames[i]))
		}
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	if err != nil {
		for _, f := range files {
			if f != nil {
				_ = f.Truncate(0)
				_ = f.Close()
			}
		}
		err = fmt.Errorf("preparing the journal: %w", err)
		if !errors.Is(err, vfs.ErrNoSpace) {
			j.fail(err)
		}
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, f := range files {
		j.half[i] = half{file: f, free: true}
	}
	j.ready = true
	return nil
}

// zeroed opens a half and fills it with zeros, durably.
func (j *Journal) zeroed(name string) (vfs.File, error) {
	f, err := j.fs.Create(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = j.fs.Open(name)
	}
	if err != nil {
		return nil, err
	}
	for at := int64(0); at < j.size && err == nil; at += zeroChunk {
		_, err = f.WriteAt(zeros[:min(zeroChunk, j.size-at)], at)
	}
	if err == nil {
		if err = f.Sync(); err != nil {
			err = fmt.Errorf("syncing %s: %v", name, err) // not wrapped: whatever it is, it is final (D3)
		}
	}
	if err != nil {
		_ = f.Truncate(0)
		_ = f.Close()
		return nil, err
	}
	return f, nil
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
	j.io.Lock()
	defer j.io.Unlock()
	if !j.Holds(k) {
		return nil
	}
	if err := j.takes(); err != nil {
		return err
	}
	h := recordHead{kind: kindVoid}
	j.compose(&h, []Range{{Key: k}})
	defer j.letGo()
	if err := j.write(&h); err != nil {
		return err
	}
	j.lastVoid = j.seq
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.half {
		delete(j.half[i].keys, k)
	}
	return nil
}

// Holds tells whether a record names a log, so that a restart after a crash would write to its files.
func (j *Journal) Holds(k Key) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.half {
		if _, ok := j.half[i].keys[k]; ok {
			return true
		}
	}
	return false
}

// Free says that everything a full lap holds is durable where it belongs.
func (j *Journal) Free(gen uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := &j.half[gen%halves]
	invariant.Assert(h.full && gen+halves > j.current.gen, "L1: a lap was freed that is not full")
	h.free = true
}

// Room tells whether a record would be taken, if it is not too large for what is left.
func (j *Journal) Room() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	filling := j.current.gen > 0 && !j.half[j.current.gen%halves].full
	return j.ready && j.failure == nil && (filling || j.half[(j.current.gen+1)%halves].free)
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

// makeRoom sees to it that a record of n bytes fits into the current half, or begins the next lap.
func (j *Journal) makeRoom(n int64) error {
	j.mu.Lock()
	now := &j.half[j.current.gen%halves]
	if j.current.gen > 0 && !now.full && j.pos+n <= j.size {
		j.mu.Unlock()
		return nil
	}
	next := &j.half[(j.current.gen+1)%halves]
	now.full = j.current.gen > 0
	lap := lapHeader{gen: j.current.gen + 1, firstSeq: j.seq + 1, lastVoid: j.lastVoid}
	free, f := next.free, next.file
	j.mu.Unlock()
	if !free || pageBytes+n > j.size {
		return ErrFull
	}
	var secret [4]byte
	_, _ = rand.Read(secret[:]) // never fails
	lap.secret = binary.BigEndian.Uint32(secret[:])
	page := make([]byte, pageBytes)
	lap.encode(page)
	_, err := f.WriteAt(page, 0)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = fmt.Errorf("beginning lap %d of the journal: %v", lap.gen, err) // final, whatever it is (D3)
		j.fail(err)
		return j.Failure()
	}
	j.mu.Lock()
	*next = half{file: f, keys: make(map[Key]struct{})}
	j.current, j.pos = lap, pageBytes
	j.mu.Unlock()
	return nil
}

// note remembers whom a record names, before it can be on the disk.
func (j *Journal) note(ranges []Range) {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys := j.half[j.current.gen%halves].keys
	for i := range ranges {
		keys[ranges[i].Key] = struct{}{}
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
	} else if err = f.Sync(); err != nil {
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

// Close closes the files. With clear set, it empties them first, durably: all they hold must be synced where it belongs.
// Else the next start finds them as they are.
func (j *Journal) Close(clear bool) error {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	ready := j.ready
	j.ready = false
	order := [halves]*half{&j.half[(j.current.gen+1)%halves], &j.half[j.current.gen%halves]}
	j.mu.Unlock()
	if !ready {
		return nil
	}
	var errs []error
	for _, h := range order { // the older first: what voids its records lies in the younger
		var err error
		if clear && len(errs) == 0 {
			err = empty(h.file)
		}
		if closeErr := h.file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("closing the journal: %w", err))
		}
	}
	return errors.Join(errs...)
}
