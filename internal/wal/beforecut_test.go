package wal

import (
	"errors"
	"path"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// TestL2CutIsAnnounced: whoever opens a log hears what is about to be cut off while all of it is still there, and can keep it from being cut.
func TestL2CutIsAnnounced(t *testing.T) {
	disk := crashfs.New(1)
	e := newEnv(t, disk, "d/t-7")
	l, _ := e.open()
	for range 3 {
		must(t, l, batch(1, 100, 0, nil))
	}
	size := l.core.active().size
	l.Abandon(nil)
	name := "d/t-7/" + segmentName(0)
	if err := disk.BitFlip(name, size-1, 0); err != nil { // past the mark: taken for a torn tail
		t.Fatal(err)
	}
	info, err := disk.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("not now")
	for range 2 {
		_, rec, err := Open(e.options(func(end model.Offset) error {
			if now, err := disk.Stat(name); err != nil || now.Size != info.Size {
				t.Errorf("when told of the cut, the segment has %d bytes, had %d: %v", now.Size, info.Size, err)
			}
			if end != 2 {
				t.Errorf("told that the log ends at %d, want 2", end)
			}
			return refused
		}))
		if !errors.Is(err, refused) {
			t.Fatalf("Open: %v (%+v), want the refusal", err, rec)
		}
	}
	told := 0
	l, rec, err := Open(e.options(func(model.Offset) error { told++; return nil }))
	if err != nil || told != 1 || rec.End != 2 || rec.TruncatedBytes == 0 {
		t.Fatalf("told %d times, %+v, %v", told, rec, err)
	}
	l.Abandon(nil)
	if l, _, err = Open(e.options(func(model.Offset) error { told++; return nil })); err != nil || told != 1 {
		t.Errorf("a log that is whole: told %d times, want none more; %v", told-1, err)
	}
	l.Abandon(nil)
}

func (e *env) options(before func(model.Offset) error) Options {
	return Options{FS: e.fs, Dir: e.dir, Partition: model.TopicPartition{Topic: "t", Partition: 7}, TopicID: e.id,
		Config: e.cfg, Committer: e.com, BeforeCut: before}
}

// TestL2JournalRotIsAnnounced: that durable records are missing from the journal is told while it still holds the others, and the journal stays until whoever is told
// has remembered it.
func TestL2JournalRotIsAnnounced(t *testing.T) {
	disk := crashfs.New(1)
	c, _ := openSharers(t, disk, 10, 1<<20)
	for range 6 {
		c.mustRound(300)
	}
	found := disk.CrashClone(crashfs.Lose)
	c.abandon()
	name := path.Join(sharersRoot, journalDir, "journal_1")
	info, err := found.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	rots := 0
	for at := int64(0); at < min(info.Size, 40_000); at += 511 {
		rotten := found.CrashClone(crashfs.Keep)
		if err := rotten.BitFlip(name, at, 1); err != nil {
			t.Fatal(err)
		}
		refused := errors.New("not now")
		var told error
		_, _, err := OpenJournal(JournalOptions{FS: rotten, Root: sharersRoot, HalfBytes: 1 << 20, Rotten: func(rot error) error { told = rot; return refused }})
		if told == nil {
			continue
		}
		rots++
		if !errors.Is(err, refused) {
			t.Errorf("byte %d: %v, want the refusal", at, err)
		}
		told = nil
		j, replay, err := OpenJournal(JournalOptions{FS: rotten, Root: sharersRoot, HalfBytes: 1 << 20, Rotten: func(rot error) error { told = rot; return nil }})
		if told == nil || err == nil && (j == nil || replay.Rot == nil) {
			t.Errorf("byte %d: told once more: %v, %+v, %v", at, told, replay, err)
		}
		told = nil
		if err == nil {
			if _, _, err = OpenJournal(JournalOptions{FS: rotten, Root: sharersRoot, HalfBytes: 1 << 20, Rotten: func(rot error) error { told = rot; return nil }}); err != nil || told != nil {
				t.Errorf("byte %d: when it was remembered: %v, %v", at, told, err)
			}
		}
	}
	if rots == 0 {
		t.Error("no flipped bit was rot")
	}
}
