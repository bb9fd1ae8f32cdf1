package wal

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// sharers is several logs that share a stepped committer and its journal.
type sharers struct {
	t    testing.TB
	com  *Committer
	logs []*Log
	rec  []Recovery
}

const sharersRoot = "data/wal"

func openSharers(t testing.TB, fsys vfs.FS, n int, halfBytes int64) (*sharers, Replay) {
	t.Helper()
	j, replay, err := OpenJournal(JournalOptions{FS: fsys, Root: sharersRoot, HalfBytes: halfBytes})
	if err != nil {
		t.Fatal(err)
	}
	c := &sharers{t: t, com: NewSteppedCommitter(CommitterOptions{FS: fsys, OpenFiles: 4, Now: func() time.Time { return time.UnixMilli(0) }, Journal: j})}
	for i := range n {
		l, rec, err := Open(c.options(fsys, i))
		if err != nil || rec.Corruption != nil {
			t.Fatal(err, rec.Corruption)
		}
		if err := l.BeginEpoch(0); err != nil {
			t.Fatal(err)
		}
		c.logs, c.rec = append(c.logs, l), append(c.rec, rec)
	}
	return c, replay
}

func (c *sharers) options(fsys vfs.FS, i int) Options {
	return Options{
		FS: fsys, Dir: fmt.Sprintf("%s/partitions/t-%d", sharersRoot, i), Partition: model.TopicPartition{Topic: "t", Partition: int32(i)},
		TopicID: model.TopicID{1}, Config: DefaultConfig(), Committer: c.com,
	}
}

// round appends a batch to each log and commits until nothing waits. Each gets its waiter's answer, nil if it took none.
func (c *sharers) round(size int) []error {
	errs := make([]error, len(c.logs))
	for i, l := range c.logs {
		if _, err := l.Append(Append{Batch: batch(1, size, int64(1000*i), nil), Waiter: answer{&errs[i]}}); err != nil {
			errs[i] = err
		}
	}
	for c.com.StepCommit() {
	}
	return errs
}

type answer struct{ err *error }

func (a answer) Done(err error) { *a.err = err }

func (c *sharers) mustRound(size int) {
	c.t.Helper()
	if err := errors.Join(c.round(size)...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *sharers) abandon() {
	for _, l := range c.logs {
		l.Abandon(nil)
	}
	c.com.CloseStepped()
}

func (c *sharers) close() {
	c.t.Helper()
	for _, l := range c.logs {
		if err := l.Close(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.com.CloseStepped()
}

// TestRoundSharesOneSync: past their first, groups of many logs cost one sync together, and a crash right after it loses none.
func TestRoundSharesOneSync(t *testing.T) {
	const n = 10
	disk := crashfs.New(1)
	c, _ := openSharers(t, disk, n, 1<<20)
	c.mustRound(100) // makes the segments
	c.mustRound(100) // begins a lap
	syncs := disk.Count(crashfs.OpSync)
	c.mustRound(100)
	if got := disk.Count(crashfs.OpSync) - syncs; got != 1 {
		t.Errorf("a round of %d logs took %d syncs", n, got)
	}
	again, replay := openSharers(t, disk.CrashClone(crashfs.Lose), n, 1<<20)
	if replay.Segments != n {
		t.Errorf("replayed %+v", replay)
	}
	for i, l := range again.logs {
		if l.End() != 3 || again.rec[i].Clean {
			t.Errorf("log %d ends at %d after the crash", i, l.End())
		}
	}
	c.close()
	again.abandon()
	for _, e := range []string{"journal_0", "journal_1"} {
		if info, err := disk.Stat(path.Join(sharersRoot, journalDir, e)); err != nil || info.Size != 0 {
			t.Errorf("after a clean stop %s has %d bytes, %v", e, info.Size, err)
		}
	}
}

// TestSharersCrash cuts the power before every call to the disk that changes something, in every mode, while several logs
// share rounds over a journal that is small enough to change halves, and one of them is truncated. Everything that was
// acknowledged is there afterwards, and what was cut off is not.
func TestSharersCrash(t *testing.T) {
	const n, rounds = 4, 14
	for mode := crashfs.Random; mode <= crashfs.Keep; mode++ {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			disk := crashfs.New(uint64(mode) + 7)
			c, _ := openSharers(t, disk, n, 4*4096)
			var acked [n]model.Offset
			var most [n]model.Offset // appended, or cut back to
			crashes := 0
			disk.OnOp(func(op crashfs.Op) {
				if !op.Kind.Changes() {
					return
				}
				crashes++
				again, _ := openSharers(t, disk.CrashClone(mode), n, 4*4096)
				for i, l := range again.logs {
					if l.End() < acked[i] || l.End() > most[i] {
						t.Fatalf("before %v: log %d ends at %d, want %d to %d", op, i, l.End(), acked[i], most[i])
					}
					if got, err := tryContents(l, 1<<20); err != nil {
						t.Fatalf("before %v: log %d, %d bytes: %v", op, i, len(got), err)
					}
				}
				again.abandon()
			})
			for r := range rounds {
				for i := range n {
					most[i] = c.logs[i].End() + 1
				}
				c.mustRound(100 + 900*(r%3))
				for i := range n {
					acked[i] = c.logs[i].DurableEnd()
				}
				if r%4 == 3 {
					acked[1] -= 2
					if err := c.logs[1].Truncate(acked[1]); err != nil {
						t.Fatal(err)
					}
					most[1] = acked[1]
				}
				c.com.StepSettle()
			}
			disk.OnOp(nil)
			c.close()
			t.Logf("%d crashes", crashes)
		})
	}
}

// TestJournalFailureFencesTheRound: a failed sync of the journal fences the logs of that round and no other, and the journal is
// not used any more (D3).
func TestJournalFailureFencesTheRound(t *testing.T) {
	disk := crashfs.New(3)
	faults := faultfs.New(disk)
	c, _ := openSharers(t, faults, 4, 1<<20)
	c.mustRound(100)
	c.mustRound(100)
	idle := c.logs[3]
	c.logs = c.logs[:3]
	faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Err: syscall.EIO})
	for i, err := range c.round(100) {
		if !errors.Is(err, ErrFenced) {
			t.Errorf("log %d: %v", i, err)
		}
	}
	c.logs = []*Log{idle}
	syncs := disk.Count(crashfs.OpSync)
	c.mustRound(100)
	if disk.Count(crashfs.OpSync) != syncs+1 || idle.journaled {
		t.Error("the log outside of the round did not go on alone")
	}
	again, _ := openSharers(t, disk.CrashClone(crashfs.Lose), 4, 1<<20)
	for i, l := range again.logs {
		if want := model.Offset(2 + i/3); l.End() < want {
			t.Errorf("log %d ends at %d, want %d", i, l.End(), want)
		}
	}
	again.abandon()
}

// TestRecreatedLogStaysEmpty: a log that is removed and made again under the same identity does not get back what the journal
// holds of the first (L3), and a log that is gone is no obstacle.
func TestRecreatedLogStaysEmpty(t *testing.T) {
	disk := crashfs.New(4)
	c, _ := openSharers(t, disk, 2, 1<<20)
	for range 5 {
		c.mustRound(700)
	}
	for _, l := range c.logs {
		l.Abandon(nil)
		if err := disk.RemoveAll(l.dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.SyncDir(sharersRoot + "/partitions"); err != nil {
		t.Fatal(err)
	}
	l, _, err := Open(c.options(disk, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.BeginEpoch(0); err != nil {
		t.Fatal(err)
	}
	c.logs = []*Log{l}
	c.mustRound(100)
	again, replay := openSharers(t, disk.CrashClone(crashfs.Lose), 2, 1<<20)
	if got := again.logs[0].End(); got != 1 || again.logs[1].End() != 0 || replay.Skipped != 1 {
		t.Errorf("the logs end at %d and %d; %+v", got, again.logs[1].End(), replay)
	}
	again.abandon()
	c.abandon()
}

// TestManyWritersShare runs the real workers: writers on many logs, with truncations, deletions and rolls in between, over a small
// journal. All of it is there after a crash.
func TestManyWritersShare(t *testing.T) {
	const n, writers, each = 12, 3, 40
	disk := crashfs.New(5)
	j, _, err := OpenJournal(JournalOptions{FS: disk, Root: sharersRoot, HalfBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := &sharers{t: t, com: NewCommitter(CommitterOptions{FS: disk, OpenFiles: 8, Journal: j})}
	c.com.limit = 0 // even few share
	c.com.wantJournal()
	var all sync.WaitGroup
	for i := range n {
		o := c.options(disk, i)
		o.Config.SegmentBytes = 20_000
		l, _, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.BeginEpoch(0); err != nil {
			t.Fatal(err)
		}
		c.logs = append(c.logs, l)
		for w := range writers {
			all.Go(func() {
				for k := range each {
					wait := newWaiter()
					out, err := l.Append(Append{Batch: batch(1, 300, int64(k), nil), Waiter: wait, Inline: w == 0, Deferred: w == 2})
					if k%2 == 0 {
						out.Commit.Make()
					} else {
						out.Commit.Leave()
					}
					if err == nil {
						err = <-wait.ch
					}
					if err != nil && !errors.Is(err, ErrTruncated) {
						t.Errorf("log %d: %v", i, err)
					}
					if w == 1 && k%10 == 9 {
						if err := l.Truncate(max(l.Start(), l.DurableEnd()-2)); err != nil {
							t.Errorf("log %d: %v", i, err)
						}
					}
				}
			})
		}
	}
	all.Wait()
	found := disk.CrashClone(crashfs.Lose)
	if _, err := found.Stat(path.Join(sharersRoot, journalDir, "journal_0")); err != nil {
		t.Fatal("the journal was never made")
	}
	again, replay := openSharers(t, found, n, 64<<10)
	for i, l := range again.logs {
		if l.End() != c.logs[i].End() {
			t.Errorf("log %d ends at %d after the crash, was at %d", i, l.End(), c.logs[i].End())
		}
		if got, want := string(contents(t, l)), string(contents(t, c.logs[i])); !strings.HasPrefix(got, want) {
			t.Errorf("log %d holds something else after the crash", i)
		}
	}
	t.Logf("%+v", replay)
	again.abandon()
	for _, l := range c.logs {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	c.com.Close()
}

// TestL2UnbornSuccessor: a topic is deleted while the journal holds records of it, and made anew; the power fails before the new
// log's first header is durable, and its file is found without one. That is no loss: the old log's records are not missed.
func TestL2UnbornSuccessor(t *testing.T) {
	disk := crashfs.New(1)
	bad := faultfs.New(disk)
	c, _ := openSharers(t, bad, 2, 1<<20)
	for range 3 {
		c.mustRound(100)
	}
	o := c.options(bad, 0)
	c.logs[0].Abandon(nil)
	if err := bad.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	if err := bad.SyncDir(path.Dir(o.Dir)); err != nil {
		t.Fatal(err)
	}
	o.TopicID = model.TopicID{2}
	l, _, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.BeginEpoch(0); err != nil {
		t.Fatal(err)
	}
	first := path.Join(o.Dir, segmentName(0))
	bad.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: func(c faultfs.Call) bool { return c.Name == first }, Times: 1, Err: syscall.EIO})
	c.logs[0] = l
	if errs := c.round(100); errs[0] == nil {
		t.Fatal("an append succeeded whose segment has no durable header")
	}
	if err := disk.SyncDir(o.Dir); err != nil { // the name was lucky
		t.Fatal(err)
	}
	again, replay := openSharers(t, disk.Crash(crashfs.Lose), 1, 1<<20)
	if replay.Rot != nil {
		t.Errorf("something is said to be lost: %v", replay.Rot)
	}
	again.abandon()
}
