package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Copy is a copy of a log's files in another directory, which is made while the log is in use. Everything is copied as it is, so
// what the log remembers beside its batches goes along: producers, the log start, and the marks that tell rot from a torn tail.
//
// It is for one goroutine.
type Copy struct {
	// Pace, if not nil, is called by CatchUp before it copies so many bytes, and may wait. With its error the copy ends.
	Pace func(ctx context.Context, bytes int) error

	log   *Log
	dir   string
	gen   uint32
	have  map[int64]int64 // per segment's file, up to where its bytes are there and synced
	next  model.Offset
	bytes int64
}

// CopyTo begins a copy in an empty directory.
func (l *Log) CopyTo(dir string) *Copy {
	return &Copy{log: l, dir: dir, gen: l.generation.Load(), have: make(map[int64]int64)}
}

// Next is the offset up to which the log is copied, Bytes how much that is.
func (c *Copy) Next() model.Offset { return c.next }

// Bytes is the size of what is copied.
func (c *Copy) Bytes() int64 { return c.bytes }

// CatchUp copies what is durable and not copied yet, syncs it, and returns how many bytes that were. Bytes are written once, so
// that those of a log in use can be copied; after a truncation the copy begins anew.
func (c *Copy) CatchUp(ctx context.Context) (copied int64, err error) {
	l := c.log
	gen := l.generation.Load()
	if gen != c.gen {
		c.gen, c.next, c.bytes = gen, 0, 0
		clear(c.have)
	}
	l.mu.Lock()
	views := make([]view, len(l.core.segs))
	for i, s := range l.core.segs {
		views[i] = viewOf(s)
	}
	l.mu.Unlock()
	for i := range views {
		n, err := c.segment(ctx, &views[i])
		copied += n
		if errors.Is(err, fs.ErrNotExist) {
			continue // retention was faster, or compaction
		}
		if err != nil {
			return copied, err
		}
		c.next = max(c.next, views[i].end)
	}
	if l.generation.Load() != gen { // some of it may be of before, some of after
		clear(c.have)
		return copied, nil
	}
	return copied, nil
}

func (c *Copy) segment(ctx context.Context, v *view) (copied int64, err error) {
	from := max(c.have[v.file], headerBytes)
	if from >= v.size {
		return 0, nil
	}
	src, err := c.log.segmentFile(v.file)
	if err != nil {
		return 0, err
	}
	defer src.release()
	dst, err := c.create(segmentName(v.file))
	if err != nil {
		return 0, err
	}
	copied, err = copyBytes(ctx, dst, src, from, v.size, c.Pace)
	if err == nil {
		err = dst.Sync() // by the file that was written through: no other one hears of errors
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return copied, fmt.Errorf("copying %s to %s: %w", src.name, c.dir, err)
	}
	c.have[v.file] = v.size
	c.bytes += copied
	return copied, nil
}

// create opens a file of the copy, and makes it if need be.
func (c *Copy) create(name string) (vfs.File, error) {
	f, err := c.log.fs.Create(path.Join(c.dir, name))
	if errors.Is(err, fs.ErrExist) {
		return c.log.fs.Open(path.Join(c.dir, name))
	}
	return f, err
}

// Finish makes the copy whole and durable. The log must have been closed by Close, without an error.
func (c *Copy) Finish(ctx context.Context) error {
	if c.log.generation.Load() != c.gen {
		clear(c.have)
	}
	l := c.log
	if err := l.voidEarlier(); err != nil { // should the log come back to this device, other bytes may be where these were (L3)
		return err
	}
	there, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, e := range there {
		if e.IsDir || strings.HasSuffix(e.Name, vfs.TempSuffix) || !partOfLog(e.Name) {
			continue
		}
		keep[e.Name] = true
		if err := c.file(ctx, e.Name); err != nil {
			return fmt.Errorf("copying %s to %s: %w", l.path(e.Name), c.dir, err)
		}
	}
	mine, err := l.fs.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range mine {
		if !keep[e.Name] {
			if err := l.fs.Remove(path.Join(c.dir, e.Name)); err != nil {
				return err
			}
		}
	}
	return l.fs.SyncDir(c.dir)
}

// partOfLog tells whether a file belongs to the log.
func partOfLog(name string) bool {
	if _, ok := parseSegmentName(name); ok || name == indexName {
		return true
	}
	if _, ok := parseFloorName(name); ok {
		return true
	}
	for _, s := range stateFiles {
		if s == name {
			return true
		}
	}
	return false
}

// file copies what is missing of one file: all of it, but for the bytes of a segment behind its header.
func (c *Copy) file(ctx context.Context, name string) (err error) {
	src, err := c.log.fs.Open(c.log.path(name))
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // it was opened to be read
	size, err := src.Size()
	if err != nil {
		return err
	}
	dst, err := c.create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	head, from := size, size
	if file, ok := parseSegmentName(name); ok && c.have[file] > 0 {
		head, from = min(headerBytes, size), min(c.have[file], size)
	}
	if _, err := copyBytes(ctx, dst, src, 0, head, nil); err != nil {
		return err
	}
	if _, err := copyBytes(ctx, dst, src, from, size, nil); err != nil {
		return err
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	return dst.Sync()
}

// copyBytes copies [from, to) of one file to the same place in another, at the pace that is given, if one is.
func copyBytes(ctx context.Context, dst, src vfs.File, from, to int64, pace func(context.Context, int) error) (copied int64, err error) {
	pooled := scanBuffers.Get().(*[]byte)
	defer scanBuffers.Put(pooled)
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return copied, err
		}
		b := (*pooled)[:min(to-at, scanChunk)]
		if pace != nil {
			if err := pace(ctx, len(b)); err != nil {
				return copied, err
			}
		}
		if _, err := src.ReadAt(b, at); err != nil {
			return copied, err
		}
		if _, err := dst.WriteAt(b, at); err != nil {
			return copied, err
		}
		at += int64(len(b))
		copied += int64(len(b))
	}
	return copied, nil
}

// Arrive comes before a copied log gets a directory of the device: a log that was there before, and whose last records may still be in
// the journal, must not come back into it (L3).
func (c *Committer) Arrive(dir string, tp model.TopicPartition, topic model.TopicID) error {
	key, shared := c.journal.key(&Log{dir: dir, tp: tp, topicID: topic})
	if !shared {
		return nil
	}
	return c.journal.files.Void(key)
}
