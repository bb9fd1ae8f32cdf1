package quorum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/internal/model"
)

// catchUpEntries is how far behind the commit index a learner may be to become a voter.
const catchUpEntries = 64

// Status describes the quorum. Only the leader's says how far the others are.
func (r *Raft) Status(ctx context.Context) (s Status, err error) {
	err = r.do(ctx, func() { s = r.member.Status() })
	return s, err
}

// Change changes who takes part, and returns when that is settled: any minority of the voters may be lost from then on. It waits for a
// change that is under way.
func (r *Raft) Change(ctx context.Context, c ConfigChange) error {
	err := r.retry(ctx, func() (done bool, err error) {
		o := r.await(ctx, func() (uint64, uint64, error) { return r.member.ProposeChange(c) })
		if errors.Is(o.err, ErrBusy) {
			return false, nil
		}
		return true, o.err
	})
	if err != nil {
		return err
	}
	return r.settled(ctx)
}

// settled waits until no change is under way.
func (r *Raft) settled(ctx context.Context) error {
	return r.retry(ctx, func() (bool, error) {
		s, err := r.leading(ctx)
		if errors.Is(err, ErrNotController) {
			err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err) // the next leader sees to it
		}
		return s.Settled, err
	})
}

// retry tries something again after each tick until it is done.
func (r *Raft) retry(ctx context.Context, try func() (done bool, err error)) error {
	t := time.NewTicker(TickInterval)
	defer t.Stop()
	for {
		if done, err := try(); done || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-r.done:
			return r.stopped()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Learn takes a replica in as a learner: it gets the log and has no vote. To take in a member again changes nothing.
func (r *Raft) Learn(ctx context.Context, who Replica) error {
	switch s, err := r.leading(ctx); {
	case err != nil:
		return err
	case s.has(who):
		return r.settled(ctx)
	}
	return r.Change(ctx, ConfigChange{Learn: []Replica{who}})
}

// Admit makes a replica a voter: it is taken in as a learner, and promoted when it has caught up (KIP-853). To admit a
// voter changes nothing.
func (r *Raft) Admit(ctx context.Context, who Replica) error {
	if err := r.Learn(ctx, who); err != nil {
		return err
	}
	err := r.retry(ctx, func() (bool, error) {
		s, err := r.leading(ctx)
		if err != nil {
			return false, err
		}
		st, voter := s.find(who)
		return voter || st.LogEnd > 0 && st.LogEnd+catchUpEntries >= s.HighWatermark, nil
	})
	if err != nil {
		return fmt.Errorf("%s is to become a voter, and is a learner: %w", who, err)
	}
	s, err := r.leading(ctx)
	if err != nil {
		return err
	}
	if _, voter := s.find(who); voter {
		return r.settled(ctx)
	}
	return r.Change(ctx, ConfigChange{Promote: []Replica{who}})
}

// Remove takes a replica out. The leader cannot be: TransferTo comes first.
func (r *Raft) Remove(ctx context.Context, who Replica) error {
	switch s, err := r.leading(ctx); {
	case err != nil:
		return err
	case !s.has(who):
		return r.settled(ctx)
	}
	return r.Change(ctx, ConfigChange{Remove: []Replica{who}})
}

// Supersede removes the replica that a node had before its data directory was replaced, so that the new one can be taken in; if there is none, or it
// is the same one, it changes nothing. It refuses with ErrMembership as long as the old one is heard of, or the quorum could not do without
// it: retry. The caller makes sure that the node itself is not alive with its old directory.
func (r *Raft) Supersede(ctx context.Context, by Replica) error {
	var old Replica
	err := r.retry(ctx, func() (done bool, err error) {
		o := r.await(ctx, func() (uint64, uint64, error) {
			if !r.member.Active() {
				return 0, 0, r.member.notController()
			}
			lost, found, err := r.member.superseded(by)
			if old = lost; err != nil {
				return 0, 0, err
			}
			if !found {
				return 0, 0, errNothing
			}
			return r.member.ProposeChange(ConfigChange{Remove: []Replica{old}})
		})
		if errors.Is(o.err, ErrBusy) {
			return false, nil
		}
		return true, o.err
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	r.opts.Log.Warn("a replica of the metadata, whose directory was replaced, was removed from the quorum", "old", old.String(), "new", by.String())
	return r.settled(ctx)
}

var errNothing = errors.New("there is nothing to change")

// TransferTo has another voter lead, and returns when it does, or when somebody was elected meanwhile: of nodes that all
// stop, each would otherwise hand leadership to the next one for ever.
func (r *Raft) TransferTo(ctx context.Context, node model.BrokerID) error {
	asked, before := false, uint64(0)
	return r.retry(ctx, func() (bool, error) {
		var err error
		var there bool
		failed := r.do(ctx, func() {
			leader, term, known := r.member.Leader()
			there = known && (leader.Node == node || asked && term != before)
			if to, ok := r.member.config.replicas.ofNode(node); there || asked && !known {
				return // it has come to that, or there is an election
			} else if ok {
				err = r.member.TransferTo(to)
			} else {
				err = refused("node %d does not belong to it", node)
			}
			asked, before = true, term
		})
		return there, errors.Join(failed, err)
	})
}

// leading is the status, on the active controller only.
func (r *Raft) leading(ctx context.Context) (s Status, err error) {
	var refusal error
	err = r.do(ctx, func() {
		if s = r.member.Status(); !r.member.Active() {
			refusal = r.member.notController()
		}
	})
	return s, errors.Join(err, refusal)
}

// has tells whether a replica takes part.
func (s *Status) has(who Replica) bool {
	st, _ := s.find(who)
	return st.Replica == who
}

// find finds a replica, and whether it is a voter.
func (s *Status) find(who Replica) (st ReplicaStatus, voter bool) {
	for _, v := range s.Voters {
		if v.Replica == who {
			return v, true
		}
	}
	for _, o := range s.Observers {
		if o.Replica == who {
			return o, false
		}
	}
	return ReplicaStatus{}, false
}
