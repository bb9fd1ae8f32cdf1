package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/replication"
)

// decisions is an active controller that answers when it is let.
type decisions struct {
	calls chan []controller.ISRChange
	err   chan error
	gone  []controller.Resignation
}

func (d *decisions) AlterPartitions(_ context.Context, _ model.BrokerEpoch, list []controller.ISRChange) ([]controller.AlteredPartition, error) {
	d.calls <- list
	if err := <-d.err; err != nil {
		return nil, err
	}
	out := make([]controller.AlteredPartition, len(list))
	for i, c := range list {
		out[i].State = image.Partition{PartitionEpoch: c.PartitionEpoch + 1}
		if c.Partition == 9 {
			out[i] = controller.AlteredPartition{Err: &controller.Refusal{Reason: controller.InvalidUpdateVersion}}
		}
	}
	return out, nil
}

func (d *decisions) Resign(_ context.Context, _ model.BrokerEpoch, list []controller.Resignation) ([]error, error) {
	d.gone = append(d.gone, list...)
	return make([]error, len(list)), nil
}

func runProposals(t *testing.T, d *decisions) *proposals {
	p := newProposals(d, func() model.BrokerEpoch { return 7 }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); p.run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	return p
}

func TestProposalsShareCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &decisions{calls: make(chan []controller.ISRChange, 10), err: make(chan error)}
		p := runProposals(t, d)
		outcomes := make(chan replication.Outcome, 10)
		propose := func(partition int32) {
			p.AlterISR(model.TopicPartition{Topic: "t", Partition: partition}, model.TopicID{1}, replication.Proposal{PartitionEpoch: 4},
				func(o replication.Outcome, s replication.State) {
					if o == replication.Committed && s.PartitionEpoch != 5 {
						t.Errorf("committed at partition epoch %d", s.PartitionEpoch)
					}
					outcomes <- o
				})
		}
		propose(0)
		synctest.Wait()
		for n := range int32(3) {
			propose(n + 7)
		}
		d.err <- nil
		if o := <-outcomes; o != replication.Committed || len(<-d.calls) != 1 {
			t.Errorf("outcome %v of a change that was made", o)
		}
		d.err <- nil
		got := []replication.Outcome{<-outcomes, <-outcomes, <-outcomes}
		if got[0] != replication.Committed || got[1] != replication.Committed || got[2] != replication.Declined || len(<-d.calls) != 3 {
			t.Errorf("outcomes %v; want two committed and one declined, in one call", got)
		}
		for err, want := range map[error]replication.Outcome{
			&peer.UnknownError{Method: peer.AlterPartitions, Cause: errors.New("lost")}: replication.Unanswered,
			&peer.UnavailableError{Whom: "nobody", Why: context.DeadlineExceeded}:       replication.Declined,
		} {
			propose(0)
			d.err <- err
			if o := <-outcomes; o != want {
				t.Errorf("%v: outcome %v, want %v (R3)", err, o, want)
			}
		}
	})
}

func TestProposalsResign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &decisions{}
		p := runProposals(t, d)
		p.Resign(model.TopicPartition{Topic: "t"}, model.TopicID{1}, 3, replication.LogStalled)
		synctest.Wait()
		p.Resign(model.TopicPartition{Topic: "t", Partition: 1}, model.TopicID{1}, 3, replication.LogFailed)
		synctest.Wait()
		if len(d.gone) != 2 || d.gone[0].Failed || !d.gone[1].Failed || d.gone[1].LeaderEpoch != 3 {
			t.Errorf("resignations %+v; want one of a slow disk and one of a failed one", d.gone)
		}
	})
}
