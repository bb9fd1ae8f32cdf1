package sim

import (
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// seatOf is where a group, or a transactional ID, is coordinated on this node, nil: elsewhere.
func (n *node) seatOf(topic, key string) *seat {
	num := n.w.coordinatorOf(topic, key)
	for _, r := range n.replicas {
		if r.topic == topic && r.num == num && r.seat != nil {
			return r.seat
		}
	}
	return nil
}

// coordinate has a request decided.
func (n *node) coordinate(m groupRequest, reply func(any)) {
	answer := func(out any, err error) { reply(groupReply{m.number, out, err}) }
	switch q := m.body.(type) {
	case stuck: // it is still on its way
	case sellRequest:
		n.sell(q, answer)
	case depositRequest:
		n.deposit(&q, answer)
	default:
		n.seatOf(keyOf(m.body)).ask(m.body, answer)
	}
}

// keyOf is the topic by which a request's coordinator is found, and for what.
func keyOf(body any) (topic, key string) {
	switch q := body.(type) {
	case group.JoinRequest:
		return schema.Groups.Name, q.Group
	case group.SyncRequest:
		return schema.Groups.Name, q.Group
	case group.HeartbeatRequest:
		return schema.Groups.Name, q.Group
	case group.LeaveRequest:
		return schema.Groups.Name, q.Group
	case group.ConsumerHeartbeatRequest:
		return schema.Groups.Name, q.Group
	case group.CommitRequest:
		return schema.Groups.Name, q.Group
	case group.FetchRequest:
		return schema.Groups.Name, q.Group
	case txn.InitRequest:
		return schema.Transactions.Name, q.TransactionalID
	case endRequest:
		return schema.Transactions.Name, q.TransactionalID
	case joinRequest:
		return schema.Transactions.Name, q.TransactionalID
	}
	panic("not a request")
}

// ask has a request decided by the machine, if there is one.
func (s *seat) ask(body any, reply func(any, error)) {
	switch {
	case s == nil:
		reply(nil, shard.ErrNotCoordinator)
		return
	case s.shard == nil:
		reply(nil, shard.ErrLoading)
		return
	}
	_, joins := body.(group.JoinRequest)
	answer := s.expect(joins, func(out any, err error) {
		if definite(err) && s.epoch < s.r.book.newest {
			s.r.n.w.fail("G3", "%v answers %T (%v) in epoch %d, after something of epoch %d was committed", s.r, out, err, s.epoch, s.r.book.newest)
		}
		if definite(err) {
			err = nil
		}
		reply(out, err)
	})
	s.shard.Do(s.r.n.now(), func(now time.Time) shard.Result {
		if m, ok := s.machine.(*txn.Machine); ok {
			return s.decideTxn(m, now, body, answer)
		}
		r := s.decideGroup(s.machine.(*group.Machine), now, body, answer)
		s.migrates(&r)
		return r
	}, func(err error) { answer(nil, err) })
}

func (s *seat) decideGroup(m *group.Machine, now time.Time, body any, answer func(any, error)) shard.Result {
	switch q := body.(type) {
	case group.JoinRequest:
		return m.Join(now, q, func(o group.JoinReply) { answer(o, o.Err) })
	case group.SyncRequest:
		return m.Sync(now, q, func(o group.SyncReply) { answer(o, o.Err) })
	case group.HeartbeatRequest:
		return m.Heartbeat(now, q, func(err error) { answer(err, err) })
	case group.LeaveRequest:
		return m.Leave(now, q, func(o group.LeaveReply) { answer(o, o.Err) })
	case group.ConsumerHeartbeatRequest:
		return m.ConsumerHeartbeat(now, q, func(o group.ConsumerHeartbeatReply) { answer(o, o.Err) })
	case group.CommitRequest:
		return m.Commit(now, q, func(o group.CommitReply) { s.r.n.w.promised(q, o); answer(o, o.Err) })
	case depositRequest:
		return m.TxnCommit(now, s.r.n.w.bugs.txnCommit(q.TxnCommitRequest), func(o group.CommitReply) { answer(o, o.Err) })
	case mark:
		s.r.n.ended(s.r.num, q.Producer)
		return m.Marker(now, q.Marker, q.raised, func(err error) { answer(err, err) })
	case group.FetchRequest:
		q.Stable = q.Stable && !s.r.n.w.bugs.ignoresPending
		o := m.Fetch(q)
		return shard.Result{Sees: model.NoOffset, Reply: func(err error) {
			if err != nil {
				o = group.FetchReply{Err: err}
			}
			answer(o, o.Err)
		}}
	}
	panic("not a request")
}
