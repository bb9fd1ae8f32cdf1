package wal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// headerPage is where the data of a segment file begins.
const headerPage = 4096

// TestMetamorphicRot lets random runs end with a clean stop, and then flips one bit of one file at a time. Of
// what was durable nothing may be served wrong, or be missing without a word (L2); what is derived may not
// even suffer (L6).
func TestMetamorphicRot(t *testing.T) {
	budget := 5 * time.Second
	if testing.Short() {
		budget = time.Second
	}
	flips := 0
	seed := *firstSeed
	for deadline := time.Now().Add(budget); time.Now().Before(deadline) && !t.Failed(); seed++ {
		bubble(t, func(t *testing.T) {
			h := newHarness(t, seed)
			h.compacts, h.cfg.Compaction = false, nil
			h.gapless = true // a checksum does not cover the offset; but for gaps it must be the next one
			h.open()
			for range stepsPerRun {
				h.step()
			}
			h.clearFaults()
			h.crash()
			h.closeAndOpen()
			h.disarmCrash()
			if err := h.do(h.log.Close); err != nil {
				t.Fatal(err)
			}
			h.committer.CloseStepped()
			for range 40 {
				if t.Failed() {
					t.Logf("seed %d", seed)
					break
				}
				h.rot()
				flips++
			}
		})
	}
	t.Logf("%d flips in %d runs from seed %d on", flips, seed-*firstSeed, *firstSeed)
}

// rot flips one bit on a copy of the disk and looks at what a log makes of it.
func (h *harness) rot() {
	entries, err := h.disk.ReadDir(testDir)
	if err != nil || len(entries) == 0 {
		return // the log was never appended to
	}
	name := entries[h.rng.IntN(len(entries))].Name
	info, err := h.disk.Stat(testDir + "/" + name)
	if err != nil || info.Size == 0 {
		return
	}
	at := h.rng.Int64N(info.Size)
	if h.one(4) {
		at = h.rng.Int64N(min(info.Size, headerPage))
	}
	disk := h.disk.CrashClone(crashfs.Keep)
	if err := disk.BitFlip(testDir+"/"+name, at, uint(h.rng.IntN(8))); err != nil {
		h.Fatalf("%v", err)
	}
	committer := wal.NewSteppedCommitter(wal.CommitterOptions{FS: disk, OpenFiles: 4, Now: h.now})
	log, rec, err := h.openLog(committer, disk, nil)
	if err != nil {
		h.Errorf("%s rotten at %d: opening: %v", name, at, err)
		return
	}
	h.checkRotten(log, rec, name, at)
	_ = h.do(func() error { log.Abandon(nil); return nil })
	committer.CloseStepped()
}

func (h *harness) checkRotten(log *wal.Log, rec wal.Recovery, name string, at int64) {
	said := h.readRotten(log, name, at)
	if rec.Corruption != nil {
		if !errors.Is(rec.Corruption, wal.ErrCorrupt) {
			h.Errorf("%s rotten at %d: %v", name, at, rec.Corruption)
		}
		said = true
	}
	inHeader := isSegment(name) && at < headerPage
	switch {
	case isSegment(name) && !inHeader && !said && h.lastOffsetAt(name, at) >= h.ref.start:
		h.Errorf("%s rotten at %d, and nothing was said", name, at)
	case !isSegment(name) && said:
		h.Errorf("%s rotten at %d, which the log can do without: %v", name, at, rec.Corruption)
	case !said && (log.End() != h.ref.end() || log.Start() > h.ref.start || !inHeader && log.Start() != h.ref.start):
		h.Errorf("%s rotten at %d: the log is %d to %d instead of %d to %d, and nothing was said",
			name, at, log.Start(), log.End(), h.ref.start, h.ref.end())
	case !said && (!inHeader || log.Start() == h.ref.start):
		h.log = log
		h.adoptFloor()
		if inHeader || !isSegment(name) {
			h.lookUp() // would meet what is rotten below the log start
		}
	}
}

// lastOffsetAt is the last offset of the batch that a byte of a sound segment file belongs to; model.NoOffset if it is of the space ahead, which a
// segment keeps if the disk failed when it was to be cut to its data.
func (h *harness) lastOffsetAt(name string, at int64) model.Offset {
	f, err := h.disk.Open(testDir + "/" + name)
	if err != nil {
		h.Fatalf("%v", err)
	}
	defer f.Close()
	size, _ := f.Size()
	rest := make([]byte, size-headerPage)
	if _, err := f.ReadAt(rest, headerPage); err != nil {
		h.Fatalf("%v", err)
	}
	for end := int64(headerPage); ; {
		if len(bytes.Trim(rest, "\x00")) == 0 {
			return model.NoOffset
		}
		var b record.Batch
		if b, rest, err = record.Next(rest); err != nil {
			h.Fatalf("%s: position %d: %v", name, end, err)
		}
		if end += int64(len(b)); at < end {
			return b.LastOffset()
		}
	}
}

// readRotten reads all that can be read, and tells whether the log has refused something as corrupt. Behind a
// refusal it goes on with the next batch.
func (h *harness) readRotten(log *wal.Log, name string, rotten int64) (said bool) {
	piece := 1 << (6 + h.rng.IntN(12))
	for at := max(log.Start(), h.ref.start); at < log.DurableEnd(); {
		region, err := log.Read(at, log.DurableEnd(), piece, true)
		if err != nil {
			if !errors.Is(err, wal.ErrCorrupt) {
				h.Errorf("%s rotten at %d: reading offset %d: %v", name, rotten, at, err)
			}
			said = true
			at = h.ref.nextBatch(at)
			continue
		}
		got, err := region.ReadAll(nil)
		next := region.Next()
		region.Release()
		want := h.ref.contentFrom(h.ref.chain[:min(h.ref.at(next), len(h.ref.chain))], at)
		if err != nil || next <= at || !bytes.Equal(got, want) {
			h.Errorf("%s rotten at %d: reading offset %d up to %d: %v, %v", name, rotten, at, next, err, equalBatches(got, want))
			return said
		}
		at = next
	}
	return said
}

// nextBatch is the first offset of the batch after the one that holds off.
func (r *reference) nextBatch(off model.Offset) model.Offset {
	if i := r.at(off); i < len(r.chain) {
		return r.chain[i].LastOffset() + 1
	}
	return off + 1
}
