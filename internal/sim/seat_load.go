package sim

import (
	"errors"
	"slices"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// load loads the shard when the replica leads in the seat's epoch and all that its log holds is safe.
func (s *seat) load() {
	r, n := s.r, s.r.n
	if s.loading || s.over || r.failed != nil || r.log == nil || !s.current() {
		return
	}
	until := r.log.End()
	switch hw := r.leader.HighWatermark(); {
	case n.w.bugs.loadsEarly:
		until = hw
	case hw < until:
		return
	}
	s.loading = true
	n.after(n.w.between(0, loadTime), func() {
		if s.over || s.replay(until) {
			return
		}
		n.after(loadRetry, func() { s.loading = false })
	})
}

// replay has a shard replay the log up to an offset, and serve. It reports whether that worked.
func (s *seat) replay(until model.Offset) bool {
	r, n := s.r, s.r.n
	if r.failed != nil || r.log == nil || !s.current() {
		return false
	}
	m, sh := s.begin(until)
	if err := r.replayTo(sh, until); err != nil {
		if errors.Is(err, errUnreadable) {
			r.damaged(err)
		} else {
			n.w.fail("G3", "%v: %v", r, err)
		}
		return false
	}
	n.w.note(n.id, "coordinates in epoch %d, loaded up to %d", int64(s.epoch), int64(until))
	n.w.stats[coordinatorLoads]++
	if g, ok := m.(*group.Machine); ok {
		n.w.loaded(s, g)
	}
	s.shard, s.machine, s.settled, s.loading = sh, m, until, false
	sh.Serve(n.now(), s.image)
	return true
}

// begin makes a shard that is to be loaded up to an offset.
func (s *seat) begin(until model.Offset) (shard.Machine, *shard.Shard) {
	o := shard.Options{
		Partition: model.TopicPartition{Topic: s.r.topic, Partition: s.r.num}, Topic: schema.Groups,
		MaxBatchBytes: maxGroupBatch, Patience: seatPatience, Leads: s.leads, Effect: s.effect,
	}
	var m shard.Machine
	if s.r.topic == schema.Transactions.Name {
		m, o.Topic = txn.New(s.r.n.w.txnConfig()), schema.Transactions
	} else {
		m = group.New(groupConfig)
	}
	o.Machine = watched{s.r.n.w.bugs.machine(m), s}
	return m, shard.New(o, until)
}

// compareSeats looks whether a coordinator that would load now knew the same as the one that serves (G3).
func (w *world) compareSeats() {
	for _, r := range w.assigned() {
		s := r.seat
		if s == nil || s.shard == nil || s.settled != r.log.End() {
			continue
		}
		m, sh := s.begin(r.log.End())
		if err := r.replayTo(sh, r.log.End()); err != nil {
			w.fail("G3", "%v: %v", r, err)
			return
		}
		switch m := m.(type) {
		case *group.Machine:
			w.compareOffsets(r, s.machine.(*group.Machine), m)
			w.compareDeposits(r, m)
		case *txn.Machine:
			w.compareTransactions(r, s.machine.(*txn.Machine), m)
		}
	}
}

func (w *world) compareOffsets(r *replica, serves, loaded *group.Machine) {
	for _, name := range w.groups.names {
		all := group.FetchRequest{Group: name}
		if has, loads := serves.Fetch(all).Offsets, loaded.Fetch(all).Offsets; !slices.Equal(has, loads) {
			w.fail("G3", "%v has the offsets %v of %s, and would load %v", r, has, name, loads)
		}
	}
}

var errUnreadable = errors.New("the log cannot be read")

// replayTo replays the log up to an offset.
func (r *replica) replayTo(sh *shard.Shard, until model.Offset) error {
	for at := r.log.Start(); at < until; {
		bytes, next, err := r.read(at, until, 64<<10)
		if err != nil {
			return errors.Join(errUnreadable, err)
		}
		for rest := bytes; len(rest) > 0; {
			b, more, err := record.Next(rest)
			if err == nil {
				err = b.Check()
			}
			if err != nil {
				return errors.Join(errUnreadable, err)
			}
			if err := sh.Replay(b); err != nil {
				return err
			}
			rest = more
		}
		at = next
	}
	return nil
}
