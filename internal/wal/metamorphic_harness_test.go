package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

const (
	testRoot = "/data/wal"
	testDir  = testRoot + "/partitions/topic-3"
)

var testTopicID = model.TopicID{1, 2, 3}

// harness runs one log over one disk beside its reference. All of it happens on one goroutine at a time, so
// that a seed replays a run exactly.
type harness struct {
	reporter
	rng   *rand.Rand
	ref   *reference
	clock time.Time
	cfg   wal.Config
	epoch model.LeaderEpoch
	made  int // batches so far

	producers int  // that send
	big       bool // some batches are larger than the log reads at once
	gapless   bool // no offsets are missing

	compacts bool   // the log is compacted
	round    *round // that is under way

	halfBytes int64 // of the journal; 0: the log syncs for itself

	disk      *crashfs.FS
	faults    *faultfs.FS // over disk
	gate      *gate       // over faults
	opening   bool        // the log is being opened
	committer *wal.Committer
	log       *wal.Log
	observed  model.Offset // the end that the observer was told last
	highest   int64        // number of a segment that ever held a batch
	waiting   int          // waiters that were not told yet
	lastAck   model.Offset // in this incarnation, of those that are no retries
	faulty    bool         // a fault was injected since the last check
	fenced    bool         // the log said so
	unfloored bool         // a deletion met a full or failing disk, and may have left nothing for a truncation to start from
	held      []heldRegion

	crashIn   int         // disk operations until the power fails or the process dies; < 0: it does not
	found     *crashfs.FS // the disk that the next process finds
	crashMode crashfs.Mode
	cloneAck  bool // take a disk at the next acknowledgement
	clones    []clone

	// Bugs to be found, see there.
	pretend func(op crashfs.Kind, name string, size int64) bool // see gate
	deaf    bool                                                // see gate
	early   bool                                                // retries are answered at once
	forgets bool                                                // the journal is not replayed
	hasty   bool                                                // the journal's laps are freed unsynced
	stale   bool                                                // the journal keeps what is cut off
	trusts  bool                                                // see TrustMark
	greedy  bool                                                // compaction takes what is open for committed

	steps   []string // what was done, for the report of a failure
	verbose bool     // print steps as they are done
}

// heldRegion is a region that is read later.
type heldRegion struct {
	region *wal.Region
	want   []byte
}

// reporter is the part of testing.TB that a run needs: a test that expects a failure has one of its own.
type reporter interface {
	Helper()
	Log(args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

func newHarness(t reporter, seed uint64) *harness {
	h := &harness{
		reporter: t, rng: rand.New(rand.NewPCG(seed, 0x77616c)), ref: newReference(), crashIn: -1, highest: -1,
		clock: time.UnixMilli(1_700_000_000_000), disk: crashfs.New(seed),
	}
	if err := h.disk.MkdirAll("/data/wal/partitions"); err != nil {
		t.Fatalf("%v", err)
	}
	h.cfg = wal.DefaultConfig()
	h.cfg.SegmentBytes = int64(1 << (10 + h.rng.IntN(7)))
	h.cfg.IndexIntervalBytes = int64(1 << (8 + h.rng.IntN(6)))
	h.cfg.RetentionMs, h.cfg.ProducerExpiryMs = -1, 0
	h.producers = 3
	if h.one(4) {
		h.producers = 40 // their state outgrows the marks
	}
	if h.one(8) {
		h.cfg.FlushMessages = int64(2 + h.rng.IntN(20))
	}
	if h.one(2) {
		h.halfBytes = int64(4+h.rng.IntN(4)) * 4096
	}
	if h.one(25) {
		h.big = true
		h.cfg.SegmentBytes = 2 << 20
	} else if h.one(3) {
		h.setCompaction()
	}
	return h
}

// one draws true once in n times.
func (h *harness) one(n int) bool { return h.rng.IntN(n) == 0 }

func (h *harness) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
	if h.verbose {
		h.Log(h.steps[len(h.steps)-1])
	}
}

// failf reports the first failure and ends the run after this step: stopping at once could leave the log's
// goroutines waiting.
func (h *harness) failf(format string, args ...any) {
	h.Helper()
	if h.Failed() {
		return
	}
	if !h.verbose {
		h.Log("the last steps:\n" + strings.Join(h.steps[max(0, len(h.steps)-40):], "\n"))
	}
	h.Errorf(format, args...)
}

// open opens the log on the disk, and checks that it is what the reference allows. It may meet a crash.
func (h *harness) open() {
	h.Helper()
	for {
		h.faults = faultfs.New(h.disk)
		h.gate = &gate{FS: h.faults, pretend: h.pretend, deaf: h.deaf, made: h.segmentMade, fed: h.segmentFed}
		if h.verbose {
			h.gate.trace = h.note
		}
		trouble := h.troubleAtOpen()
		h.opening = true
		journal, err := h.openJournal(h.gate)
		h.committer = wal.NewSteppedCommitter(wal.CommitterOptions{FS: h.gate, OpenFiles: 1 + h.rng.IntN(8), Now: h.now, Journal: journal})
		var log *wal.Log
		var rec wal.Recovery
		if err == nil {
			log, rec, err = h.openLog(h.committer, h.gate, observer{h})
		}
		h.opening = false
		// The journal's replay needs the blocks again that the power has taken from segments, and says so if others have them.
		refused := journal == nil && errors.Is(err, vfs.ErrNoSpace)
		if err != nil && h.found == nil && (refused || trouble.Hits() > 0) {
			h.note("  met trouble while opening: %v", err)
			h.die()
		}
		if h.found != nil {
			h.note("  failed while opening")
			if err == nil {
				h.abandon(log, h.committer)
			}
			h.committer.CloseStepped()
			h.replaceDisk()
			continue
		}
		trouble.Stop()
		h.faults.UnlimitSpace()
		if err != nil {
			h.Fatalf("opening: %v\n%s", err, strings.Join(h.steps, "\n"))
		}
		if h.trusts {
			log.TrustMark()
		}
		h.log, h.fenced, h.lastAck, h.observed, h.waiting = log, false, -1, 0, 0
		h.note("  opened: %d to %d, %+v", log.Start(), log.End(), rec)
		if rec.Corruption != nil {
			h.failf("corruption without rot: %v", rec.Corruption)
		}
		break
	}
	content := h.readAll(h.log)
	forgets := h.unfloored && (h.ref.restartAt != model.NoOffset || h.ref.cutTo != model.NoOffset)
	if err := h.ref.recovered(h.log.Start(), h.log.End(), content); err != nil {
		h.failf("%v", err)
	}
	if h.log.DurableEnd() != h.log.End() {
		h.failf("after opening, %d is durable of %d", h.log.DurableEnd(), h.log.End())
	}
	if err := h.log.BeginEpoch(h.epoch); err != nil {
		h.failf("BeginEpoch(%d): %v", h.epoch, err)
	}
	h.checkFloor(forgets)
	h.checkAll()
}

// openJournal replays the journal. It is nil if the log is to sync for itself this time.
func (h *harness) openJournal(fs vfs.FS) (*wal.Journal, error) {
	if h.forgets {
		_ = fs.RemoveAll(testRoot + "/journal")
	}
	j, replay, err := wal.OpenJournal(wal.JournalOptions{FS: fs, Root: testRoot, HalfBytes: h.halfBytes})
	if err != nil {
		return nil, err
	}
	h.note("  replayed: %+v", replay)
	if replay.Rot != nil {
		h.failf("rot in the journal without rot: %v", replay.Rot)
	}
	if h.halfBytes == 0 || h.one(8) {
		return nil, nil
	}
	return j, nil
}

func (h *harness) openLog(c *wal.Committer, fs vfs.FS, o wal.Observer) (*wal.Log, wal.Recovery, error) {
	return wal.Open(wal.Options{
		FS: fs, Dir: testDir, Partition: model.TopicPartition{Topic: "topic", Partition: 3}, TopicID: testTopicID,
		Config: h.cfg, Committer: c, Now: h.now, Observer: o,
	})
}

func (h *harness) relaxed() bool { return h.cfg.FlushMessages > 1 }

func (h *harness) now() time.Time { return h.clock }

// do runs a call that may wait for the committer, and lets the committer work while it waits.
func (h *harness) do(call func() error) error {
	done := false
	var err error
	go func() { err = call(); done = true }()
	for synctest.Wait(); !done; synctest.Wait() {
		if !h.committer.StepCommit() && !h.committer.StepZero() && !h.committer.StepUpkeep() {
			h.Fatalf("a call waits for ever")
		}
	}
	return err
}

// drain lets the committer finish all that is queued.
func (h *harness) drain() {
	for h.committer.StepCommit() || h.committer.StepZero() {
	}
}

// settleJournal lets the settler work.
func (h *harness) settleJournal() {
	if h.hasty {
		h.committer.FreeUnsynced()
	}
	_ = h.do(func() error { h.committer.StepSettle(); return nil })
}

// readAll reads the whole log in pieces of a random size.
func (h *harness) readAll(log *wal.Log) []byte { return h.readFrom(log, log.Start()) }

func (h *harness) readFrom(log *wal.Log, at model.Offset) []byte {
	h.Helper()
	var all []byte
	piece := 1 << (6 + h.rng.IntN(12))
	for at < log.DurableEnd() {
		region, err := log.Read(at, log.DurableEnd(), piece, true)
		if err != nil {
			h.failf("reading offset %d: %v", at, err)
			break
		}
		from, next := len(all), region.Next()
		all, err = region.ReadAll(all)
		region.Release()
		if err != nil || len(all) == from || next <= at {
			h.failf("reading offset %d: %d bytes up to %d, %v", at, len(all)-from, next, err)
			break
		}
		at = next
	}
	return all
}

// equalBatches tells where two reads differ.
func equalBatches(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	for {
		g, gotRest, gotErr := record.Next(got)
		w, wantRest, wantErr := record.Next(want)
		switch {
		case gotErr != nil || wantErr != nil:
			return fmt.Errorf("read %d bytes (%v), want %d bytes (%v)", len(got), gotErr, len(want), wantErr)
		case !bytes.Equal(g, w):
			return fmt.Errorf("read a batch at offsets %d to %d, want %d to %d", g.BaseOffset(), g.LastOffset(), w.BaseOffset(), w.LastOffset())
		}
		got, want = gotRest, wantRest
	}
}

// finish ends a run with a last crash and a clean stop.
func (h *harness) finish() {
	h.note("finish")
	if !h.Failed() {
		h.clearFaults()
		h.crash()
	}
	if !h.Failed() {
		h.closeAndOpen()
	}
	h.disarmCrash()
	h.abandon(h.log, h.committer)
}
