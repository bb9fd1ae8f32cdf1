package replication

import (
	"errors"
	"fmt"

	"chronik/internal/model"
)

// What a leader refuses.
var (
	// ErrNotLeading: the leader epoch is over, or the log cannot take appends in it any more. The caller must find the leader anew.
	ErrNotLeading = errors.New("this broker does not lead the partition any more")
	// ErrNoController: no active controller was heard of for a whole session, so another leader may have been elected (R6).
	ErrNoController = errors.New("this broker has lost the controller and cannot promise anything for the replicas: check its network")
)

// NotEnoughReplicasError: acks=-1 is refused because too few replicas are in sync (D2).
type NotEnoughReplicasError struct {
	InSync, Need int
	Appended     bool // the batch is in the leader's log, and may or may not survive
}

// Error says what is missing.
func (e *NotEnoughReplicasError) Error() string {
	text := fmt.Sprintf("%d replicas are in sync, min.insync.replicas asks for %d: bring brokers back, or lower it", e.InSync, e.Need)
	if e.Appended {
		return "appended, but not acknowledged: " + text
	}
	return text
}

// advance moves the watermark to the smallest durable end among the maximal ISR (D1, R3). A member that has not acknowledged in
// this epoch holds it where it is.
func (l *Leader) advance() {
	if l.inSync() < l.cfg.MinISR && !l.broken.belowMinISR {
		return
	}
	to := l.durable(l.own)
	for i := range l.peers {
		if p := &l.peers[i]; l.counts(p) {
			to = min(to, l.durable(p.own))
		}
	}
	if to > l.watermark && !l.ended {
		l.watermark = to
		l.out.Moved = true
	}
}

// counts tells whether a peer is in the maximal ISR: committed, or proposed and perhaps committed already or still to be.
func (l *Leader) counts(p *peer) bool {
	if l.broken.noMaximalISR && l.asked.waiting {
		return p.want
	}
	return p.isr || p.wide
}

func (l *Leader) durable(o Own) model.Offset {
	if l.broken.watermarkFromEnd {
		return o.End
	}
	return o.Synced
}

// inSync is the size of the committed ISR.
func (l *Leader) inSync() int {
	n := 1
	for i := range l.peers {
		if l.peers[i].isr {
			n++
		}
	}
	return n
}

// HighWatermark is the offset below which everything is committed. It never falls.
func (l *Leader) HighWatermark() model.Offset { return l.watermark }

// Settled tells whether the watermark has reached the start of the epoch. Before that it may be lower than one that clients have seen:
// ListOffsets must not answer with it (R5, KIP-207).
func (l *Leader) Settled() bool { return l.watermark >= l.start }

// Epoch is the leader epoch that is led.
func (l *Leader) Epoch() model.LeaderEpoch { return l.epoch }

// MayAppend tells whether a batch may be appended for a producer that asks for acks, -1 being all.
func (l *Leader) MayAppend(acks int16) error {
	if l.ended || l.lost != 0 {
		return ErrNotLeading
	}
	if acks != -1 {
		return nil
	}
	if !l.session {
		return ErrNoController
	}
	return l.enough(false)
}

// Acknowledge tells whether a producer that waits with acks=-1 can be answered, for a batch whose last offset is last: (true, nil) is a
// promise that it survives (D2); an error ends the wait without one; (false, nil) is to wait on. A retry of what is in
// the log already waits at the original's offset (T1).
func (l *Leader) Acknowledge(last model.Offset) (bool, error) {
	if l.ended {
		return false, ErrNotLeading
	}
	if l.watermark <= last {
		if l.lost != 0 {
			return false, ErrNotLeading
		}
		return false, nil
	}
	if !l.session {
		return false, nil // R6: it may still lead, and be told so
	}
	if err := l.enough(true); err != nil {
		return false, err
	}
	return true, nil
}

func (l *Leader) enough(appended bool) error {
	if n := l.inSync(); n < l.cfg.MinISR {
		return &NotEnoughReplicasError{InSync: n, Need: l.cfg.MinISR, Appended: appended}
	}
	return nil
}

// InSync is the committed ISR, in its order. The caller must not change it.
func (l *Leader) InSync() []model.BrokerID { return l.state.ISR }

// LowWatermark is the smallest log start among the replicas that are alive: what DeleteRecords has deleted everywhere.
func (l *Leader) LowWatermark() model.Offset {
	low := l.own.Start
	for i := range l.peers {
		if p := &l.peers[i]; p.live {
			low = min(low, max(p.own.Start, 0))
		}
	}
	return low
}
