package wal

import (
	"errors"
	"math/rand/v2"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
)

// machine drives a core without files: writes and syncs are events that happen, or fail, when the test says.
type machine struct {
	t     *testing.T
	c     core
	g     *group // in flight
	wrote bool
	disk  []record.Batch // written
	told  []error        // per accepted append with a waiter, in the order of the telling
	want  []model.Offset // of those waiters
	seq   int32
}

type teller struct {
	m    *machine
	base model.Offset
}

func (w *teller) Done(err error) {
	w.m.told = append(w.m.told, err)
	w.m.want = append(w.m.want, w.base)
	if err == nil && w.base >= w.m.c.visible {
		w.m.t.Errorf("offset %d is told to be durable, the durable end is %d", w.base, w.m.c.visible)
	}
}

func (m *machine) append(size int) {
	b := batch(1, size, int64(m.seq), &record.Producer{ID: 3, Epoch: 0, Sequence: m.seq})
	w := &teller{m: m}
	end := m.c.end
	out, done, err := m.c.append(&Append{Batch: b, Epoch: 0, Waiter: w}, 0)
	if err != nil || done || out.BaseOffset != end {
		m.t.Fatalf("append at %d: %+v %t %v", end, out, done, err)
	}
	w.base = out.BaseOffset
	m.seq++
}

func (m *machine) form() {
	if m.g = m.c.formGroup(); m.g == nil {
		return
	}
	m.wrote = false
	if mk := m.g.mark; mk != nil && mk.offset > m.c.synced {
		m.t.Errorf("L2: a mark says %d, synced is %d", mk.offset, m.c.synced)
	}
	if m.g.roll {
		if seg := m.c.active(); seg != nil && (m.g.seal.offset != seg.end || m.g.seal.pos != seg.size) {
			m.t.Errorf("the seal says %d at %d, the segment ends with %d at %d", m.g.seal.offset, m.g.seal.pos, seg.end, seg.size)
		}
		m.c.beginSegment(m.g)
	}
	if seg := m.c.active(); seg.size != m.g.pos || seg.end != m.g.base {
		m.t.Errorf("a group for %d at %d, the segment ends with %d at %d", m.g.base, m.g.pos, seg.end, seg.size)
	}
}

func (m *machine) write() {
	m.disk = append(m.disk, toBatches(m.g.bufs)...)
	m.c.onWritten(m.g)
	m.g.release()
	m.wrote = true
}

func toBatches(bufs [][]byte) (out []record.Batch) {
	for _, b := range bufs {
		out = append(out, b)
	}
	return out
}

func (m *machine) sync() {
	m.c.onSynced(m.g)
	m.c.groupDone()
	m.g.finish(nil)
	m.g.recycle()
	m.g = nil
}

var errTest = errors.New("failed on purpose")

// fail is a full disk: all that is not on disk is undone.
func (m *machine) fail() {
	g, _ := m.c.fail()
	for g != nil {
		next := g.next
		g.release()
		g.finish(errTest)
		g.recycle()
		g = next
	}
	m.g = nil
	m.seq = int32(m.c.end) // one record per batch
}

// TestCoreAgainstRandomEvents runs the core through orders of events that a disk may produce.
func TestCoreAgainstRandomEvents(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := &machine{t: t, c: newCore(DefaultConfig())}
		m.c.cfg.SegmentBytes = 2000
		m.c.epoch = 0
		for range 300 {
			switch n := rng.IntN(10); {
			case n < 5:
				m.append(10 + rng.IntN(400))
			case n == 5:
				m.c.marks.due = true
			case m.g == nil:
				m.form()
			case !m.wrote && n == 9 && rng.IntN(4) == 0:
				m.fail()
			case !m.wrote:
				m.write()
			default:
				m.sync()
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		m.finish(seed)
	}
}

// finish drains the machine and compares the core with the disk.
func (m *machine) finish(seed uint64) {
	for m.c.head != nil || m.g != nil {
		switch {
		case m.g == nil:
			m.form()
		case !m.wrote:
			m.write()
		default:
			m.sync()
		}
	}
	next := model.Offset(0)
	for _, b := range m.disk {
		if b.BaseOffset() != next {
			m.t.Fatalf("seed %d: D5: offset %d where %d belongs", seed, b.BaseOffset(), next)
		}
		next = b.LastOffset() + 1
	}
	if m.c.end != next || m.c.visible != next || m.c.synced != next {
		m.t.Errorf("seed %d: end %d, visible %d, synced %d, on disk %d", seed, m.c.end, m.c.visible, m.c.synced, next)
	}
	if p := m.c.producers.List(); next > 0 && (len(p) != 1 || p[0].LastSeq != int32(next-1)) {
		m.t.Errorf("seed %d: producers %+v after %d batches", seed, p, next)
	}
	acked := model.Offset(0)
	for i, err := range m.told {
		if err != nil {
			continue
		}
		if m.want[i] != acked {
			m.t.Fatalf("seed %d: offset %d is acknowledged after %d", seed, m.want[i], acked-1)
		}
		acked++
	}
	if acked != next {
		m.t.Errorf("seed %d: %d acknowledged, %d on disk", seed, acked, next)
	}
}

// TestMarksWaitForTheirSync: a mark that is taken while several groups are queued claims none of them before
// it is synced.
func TestMarksWaitForTheirSync(t *testing.T) {
	m := &machine{t: t, c: newCore(DefaultConfig())}
	m.c.epoch = 0
	for range 4 {
		m.append(maxGroupBytes * 2 / 3)
	}
	marks := 0
	for range 4 {
		m.form() // checks the mark that goes with the group
		if m.g.mark != nil {
			marks++
		}
		m.write()
		m.sync()
	}
	m.append(10)
	m.form()
	if m.g.mark == nil && marks == 0 {
		t.Error("no mark in 20 MiB")
	}
}
