package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chronik/internal/invariant"
	"chronik/internal/vfs"
)

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
		if _, err = f.WriteAt(zeros[:min(zeroChunk, j.size-at)], at); err != nil {
			break
		}
		if err = f.Sync(); err != nil { // piece by piece: commits that meet a sync wait for it
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
	*next = half{file: f, keys: make(map[string][]Key)}
	j.current, j.pos = lap, pageBytes
	j.mu.Unlock()
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
