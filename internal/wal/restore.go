package wal

import (
	"errors"
	"fmt"
	"io"
	"math"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/epoch"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// restoreState brings epochs, producers and transactions to the offset of the active segment's mark, from
// what lies in the mark, from snapshot files, and for the rest from the log itself (L6).
func (r *recovery) restoreState() error {
	s := &r.found[len(r.found)-1]
	if s.err != nil {
		s.mark, s.marked = mark{spilled: [stateKinds]bool{true, true, true}}, false
	}
	for k := range stateKinds {
		known := r.loadState(k, s.mark.inline[k], s.mark.offset)
		if s.mark.spilled[k] || !s.marked {
			known = r.loadFile(k)
		}
		if k == stateProducers && known < r.c.segs[0].base {
			s, at, ok, err := r.l.knownProducers(r.c.segs, r.c.active().end)
			if err != nil {
				return err
			}
			if ok {
				r.c.producers, known = s, at
			}
		}
		r.state[k] = r.reachable(k, known)
	}
	r.c.marks.wanted = s.mark.spilled
	if r.state[stateTxns] < r.state[stateProducers] {
		if err := r.walkTxns(); err != nil {
			return err
		}
		if r.state[stateProducers] <= r.c.active().end {
			r.endWalk()
		}
	}
	from := min(r.state[stateEpochs], r.state[stateProducers])
	if from >= r.c.active().end {
		return nil
	}
	if err := r.replay(r.c, from, r.c.active().end, &r.state); err != nil {
		return err
	}
	r.c.producers.Settle(r.c.active().end)
	return nil
}

// replay walks a part of the log; damage is noted.
func (r *recovery) replay(c *core, from, to model.Offset, known *[stateKinds]model.Offset) error {
	err := r.l.replayFrom(c, from, to, known)
	if errors.Is(err, ErrCorrupt) {
		if r.out.Corruption == nil {
			r.out.Corruption = fmt.Errorf("%s: %w", r.l.tp, err)
		}
		return nil
	}
	return err
}

// txnWalk rebuilds the transaction index up to where the producers are known, which are ahead of it. It follows
// from the transactions that the producers had while the log was written: they are walked once more, from the
// log's start, aside. A transaction may have begun below: its first batch that is left stands for its beginning.
type txnWalk struct {
	core
	known [stateKinds]model.Offset
}

// walkTxns walks what lies below the active segment's mark. The scan of its tail goes on if the producers are
// known beyond, see accept.
func (r *recovery) walkTxns() error {
	base, to := r.c.segs[0].base, r.state[stateProducers]
	w := &txnWalk{core: newCore(Config{}), known: [stateKinds]model.Offset{math.MaxInt64, base, r.state[stateTxns]}}
	w.segs, w.txns = r.c.segs, r.c.txns
	r.walk = w
	return r.replay(&w.core, base, min(to, r.c.active().end), &w.known)
}

// endWalk takes over what the walk has found.
func (r *recovery) endWalk() {
	if r.walk == nil {
		return
	}
	to := r.state[stateProducers]
	r.c.txns = r.walk.txns
	// A transaction that is open, and has left nothing but that, was open then: the walk could not know.
	r.c.txns.LowerStable(r.state[stateTxns], r.c.producers.FirstOpen(to))
	r.state[stateTxns], r.walk = to, nil
}

// reachable returns up to where a state knows the log. One that ends below the first batch there is would
// have a gap: a producer's last sequence would be one that it left behind long ago. It is forgotten.
func (r *recovery) reachable(kind int, known model.Offset) model.Offset {
	base := r.c.segs[0].base
	if known >= base {
		return known
	}
	switch kind {
	case stateEpochs:
		r.c.epochs = epoch.Cache{}
	case stateProducers:
		r.c.producers.Reset()
	case stateTxns:
		r.c.txns = txn.Index{}
	}
	return base
}

// loadState takes over a snapshot, and returns up to where it knows the log: 0 if it is of no use.
func (r *recovery) loadState(kind int, body []byte, empty model.Offset) model.Offset {
	if len(body) == 0 {
		return empty
	}
	var end model.Offset
	var err error
	switch kind {
	case stateEpochs:
		var c epoch.Cache
		if c, end, err = epoch.LoadSnapshot(body); err == nil {
			r.c.epochs = c
		}
	case stateProducers:
		var s producer.State
		if s, end, err = producer.LoadSnapshot(body); err == nil {
			r.c.producers = s
		}
	case stateTxns:
		var x txn.Index
		if x, end, err = txn.LoadSnapshot(body); err == nil {
			r.c.txns = x
		}
	}
	if err != nil {
		return 0
	}
	return end
}

// loadFile takes over a snapshot file. One that is missing or damaged only means a longer walk (T1).
func (r *recovery) loadFile(kind int) model.Offset {
	if !r.c.marks.files[kind] {
		return 0
	}
	body, err := vfs.ReadFile(r.l.fs, r.l.path(stateFiles[kind]))
	if err != nil || len(body) == 0 {
		return 0
	}
	// A file may be newer than the mark, and know batches past it that were synced: they are skipped then.
	// It counts for this recovery only: a process that died may have left its name in the page cache.
	return r.loadState(kind, body, 0)
}

// replayFrom applies the batches in [from, to) to the derived states of c. It reports damage as ErrCorrupt,
// and goes on behind it where it can.
func (l *Log) replayFrom(c *core, from, to model.Offset, known *[stateKinds]model.Offset) error {
	var damage error
	for i, s := range c.segs {
		v := viewOf(s)
		if i+1 < len(c.segs) && c.segs[i+1].base <= from || v.broken != nil || v.base >= to {
			continue
		}
		if err := l.replaySegment(c, &v, from, to, known); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				return err
			}
			if damage == nil {
				damage = err
			}
		}
	}
	return damage
}

func (l *Log) replaySegment(c *core, v *view, from, to model.Offset, known *[stateKinds]model.Offset) error {
	f, err := l.segmentFile(v.file)
	if err != nil {
		return err
	}
	defer f.release()
	s := newScanner(f, headerBytes, v.size, true)
	defer s.close()
	if e, ok := l.findEntry(v, func(e indexEntry) bool { return e.offset > from }); ok {
		s.pos = int64(e.pos)
	}
	for {
		b, err := s.next()
		if err == io.EOF || err == nil && b.head.BaseOffset() >= to {
			return nil
		}
		if errors.Is(err, errBadBatch) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &CorruptError{Segment: v.file, Pos: s.pos, Offset: v.base, Err: err}
		}
		if err != nil {
			return err
		}
		if b.head.BaseOffset() >= from {
			c.replay(b.head, known)
		}
	}
}
