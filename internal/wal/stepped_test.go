package wal

import (
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// TestStepper: between write and sync nobody is told and a power cut takes the batch; after the sync it stays.
func TestStepper(t *testing.T) {
	disk := crashfs.New(1)
	if err := disk.MkdirAll("/data/wal/partitions"); err != nil {
		t.Fatal(err)
	}
	open := func(disk *crashfs.FS) (*Stepper, *Log) {
		s := NewStepper(CommitterOptions{FS: disk})
		l, _, err := Open(Options{FS: disk, Dir: "/data/wal/partitions/topic-3", Partition: model.TopicPartition{Topic: "topic", Partition: 3},
			TopicID: model.TopicID{1}, Config: DefaultConfig(), Committer: s.Committer()})
		if err != nil {
			t.Fatal(err)
		}
		return s, l
	}
	s, l := open(disk)
	if err := l.BeginEpoch(0); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Write(); ok {
		t.Error("something was written where nothing was appended")
	}
	told := make(chan error, 1)
	if _, err := l.Append(Append{Batch: batch(3, 30, 1, nil), Waiter: waiter{told}}); err != nil {
		t.Fatal(err)
	}
	if !s.Yield(l) || !s.Yield(l) {
		t.Error("a log that is only queued does not make way")
	}
	if !s.Idle(l, func() {}) { // which queues again what the turn was taken from
		t.Error("a log that nothing is in flight of is not idle")
	}
	flight, ok := s.Write()
	if !ok || flight == nil || flight.Logs()[0] != l || len(told) != 0 || l.DurableEnd() != 0 {
		t.Fatalf("after the write: %v, %v, %d told, durable up to %d", flight, ok, len(told), l.DurableEnd())
	}
	if s.Yield(l) {
		t.Error("a log in flight makes way")
	}
	if _, after := open(disk.CrashClone(crashfs.Lose)); after.End() != 0 {
		t.Errorf("a power cut before the sync left offsets up to %d", after.End())
	}
	flight.Sync()
	if len(told) != 1 || <-told != nil || l.DurableEnd() != 3 {
		t.Errorf("after the sync the waiter was not told, or durable is %d", l.DurableEnd())
	}
	if _, after := open(disk.CrashClone(crashfs.Lose)); after.End() != 3 {
		t.Errorf("a power cut after the sync left offsets up to %d", after.End())
	}
	for _, l := range s.Tick() {
		s.Upkeep(l)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	s.Close()
}

// TestStepperJournal: the first groups of two logs go to their segments, the next ones share one flight, and the power takes none of
// them after the journal's sync, which is their only one.
func TestStepperJournal(t *testing.T) {
	disk := crashfs.New(1)
	if err := disk.MkdirAll(sharersRoot + "/partitions"); err != nil {
		t.Fatal(err)
	}
	j, _, err := OpenJournal(JournalOptions{FS: disk, Root: sharersRoot, HalfBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := NewStepper(CommitterOptions{FS: disk, Journal: j})
	c := &sharers{t: t, com: s.Committer()}
	for i := range 2 {
		l, _, err := Open(c.options(disk, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.BeginEpoch(0); err != nil {
			t.Fatal(err)
		}
		c.logs = append(c.logs, l)
	}
	var errs [2]error
	for shared := false; !shared; {
		for i, l := range c.logs {
			if _, err := l.Append(Append{Batch: batch(1, 30, 1, nil), Waiter: answer{&errs[i]}}); err != nil {
				t.Fatal(err)
			}
		}
		for f, ok := s.Write(); ok; f, ok = s.Write() {
			if f == nil {
				continue
			}
			if shared = len(f.Logs()) == 2; shared && c.logs[0].DurableEnd() == c.logs[0].End() {
				t.Error("durable before the sync")
			}
			f.Sync()
		}
	}
	found, replay := openSharers(t, disk.Crash(crashfs.Lose), 2, 64<<10)
	for i, l := range found.logs {
		if l.End() != c.logs[i].DurableEnd() || c.logs[i].DurableEnd() != c.logs[i].End() {
			t.Errorf("log %d ends at %d, want %d", i, l.End(), c.logs[i].End())
		}
	}
	if replay.Segments != 2 {
		t.Errorf("replayed: %+v", replay)
	}
}
