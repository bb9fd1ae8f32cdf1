package replica

import (
	"context"
	"time"

	"chronik/internal/model"
)

// DeleteBefore moves the log start offset; TimestampLatest (-1) means up to the high watermark. The new
// start is durable here when it returns; AwaitDeletion waits for the other replicas.
func (r *Replica) DeleteBefore(to model.Offset) (model.Offset, error) {
	l, _, err := r.leader(model.NoEpoch)
	if err != nil {
		return model.NoOffset, err
	}
	hw := r.HighWatermark()
	if to == model.NoOffset {
		to = hw
	}
	if to < 0 || to > hw {
		return model.NoOffset, ErrOffsetOutOfRange
	}
	low, err := l.DeleteBefore(to)
	if m := r.member.Load(); m != nil {
		m.startMoved()
	}
	return low, r.storage(err)
}

// AwaitDeletion waits until all replicas on brokers that are in service have deleted what lies below to (KIP-107), and returns the lowest log start
// offset among them: the low watermark. If ctx ends before, its error comes with that.
func (r *Replica) AwaitDeletion(ctx context.Context, to model.Offset) (model.Offset, error) {
	lead := r.lead.Load()
	if lead == nil {
		return model.NoOffset, r.notLeader(ErrNotLeader)
	}
	if lead.member == nil {
		l, err := r.Log()
		if err != nil {
			return model.NoOffset, err
		}
		return l.Start(), nil
	}
	return lead.member.awaitDeletion(ctx, lead, to)
}

func (m *member) awaitDeletion(ctx context.Context, lead *leadership, to model.Offset) (model.Offset, error) {
	done := make(deletion, 1)
	m.mu.Lock()
	if m.lead != lead {
		m.mu.Unlock()
		return model.NoOffset, m.r.notLeader(ErrNotLeader)
	}
	m.forDeletion.add(to-1, done)
	m.unlock()
	var err error
	select {
	case err = <-done:
	default:
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forDeletion.remove(done)
	if m.leader == nil {
		return model.NoOffset, err
	}
	return m.low(), err
}

// deletion is a wal.Waiter for one who stands by.
type deletion chan error

// Done implements wal.Waiter.
func (d deletion) Done(err error) { d <- err }

// low is the lowest log start offset among the replicas in service, as far as they have said.
func (m *member) low() model.Offset {
	low := m.log.Start()
	for _, f := range m.leader.Followers(time.Now()) {
		if f.Live {
			low = min(low, f.Own.Start)
		}
	}
	return low
}
