package wal

import (
	"path"
	"strings"

	"chronik/internal/vfs"
	"chronik/internal/wal/journal"
)

// JournalOptions says where a device's shared journal is.
type JournalOptions struct {
	FS        vfs.FS
	Root      string // the directory that all logs of the device lie below; the journal gets one of its own there
	HalfBytes int64  // the size of each of its two files, made when they are first wanted; 0: the default
	// Rotten, if not nil, is called when records that were durable are missing from the journal, before it is emptied and they
	// are forgotten (L2). If it fails, so does OpenJournal.
	Rotten func(rot error) error
}

const (
	journalDir       = "journal"
	defaultHalfBytes = 16 << 20
)

// Journal is the shared journal of the logs of one device. It belongs to one Committer.
type Journal struct {
	files *journal.Journal
	root  string
}

// key names a log in the journal; false if the log lies elsewhere, and cannot share it.
func (j *Journal) key(l *Log) (journal.Key, bool) {
	if j == nil {
		return journal.Key{}, false
	}
	dir, ok := strings.CutPrefix(path.Clean(l.dir), j.root+"/")
	return journal.Key{Dir: dir, TopicID: l.topicID, Partition: l.tp.Partition}, ok && len(dir) <= journal.MaxDir
}

// leaveJournal sees to it that nothing the journal holds of a log comes back after its files have changed
// (L3): what is only there is made durable in the segment, and then it is all declared void. The caller has
// the turn.
func (l *Log) leaveJournal() error {
	if !l.shared {
		return nil
	}
	if err := l.syncWritten(); err != nil {
		return err
	}
	return l.committer.journal.files.Void(l.key)
}

// voidEarlier comes before a log's very first segment: a log of the same topic that was here before must not come
// back into it (L3). What is held of another topic's log, which had the directory before, goes too: should the power fail before
// the new segment's header is durable, a file without one would pass for what is left of that log (L2). Only the latter can
// be done without, where the journal has failed.
func (l *Log) voidEarlier() error {
	if !l.shared {
		return nil
	}
	files := l.committer.journal.files
	err := files.VoidDir(l.key.Dir)
	if err != nil && !files.Holds(l.key) {
		return nil
	}
	return err
}
