package sim

import (
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/wal"
	producers "chronik/internal/wal/producer"
)

// window is the credit of a stream, small enough to run out.
const window = 64 << 10

func (r *replica) beFollower(s replication.State) {
	n := r.n
	if s.LeaderEpoch < r.epoch {
		return
	}
	if r.leader != nil {
		r.stopRoles()
	}
	r.epoch = s.LeaderEpoch
	if r.follower == nil {
		r.follower = replication.NewFollower(replication.FollowerOptions{
			TopicID: r.id, Partition: r.num, Broker: n.broker(), BrokerEpoch: n.epoch, History: history{r.log},
			Number: func() replication.Subscription { n.asked++; return n.asked },
			Window: window, Retry: retryEvery, Watermark: r.known,
		})
	}
	r.follower.Follow(s.Leader, s.LeaderEpoch, r.own(), n.now())
}

// follow does what the follower wants.
func (r *replica) follow() bool {
	f, n := r.follower, r.n
	did := false
	e := f.Take()
	leader, _ := f.Leader()
	if e.Subscribe != nil {
		did = true
		n.w.note(n.id, "subscribes to %d in epoch %d from %d", int64(leader), int64(e.Subscribe.LeaderEpoch), int64(e.Subscribe.Own.End))
		r.send(n.link(nodeID(leader)), *e.Subscribe)
		r.echo(nodeID(leader), e.Subscribe.Own.End)
	}
	if e.Truncate != nil {
		did = true
		r.cutting = true
		n.idle(r.log, func() { r.truncate(*e.Truncate) })
	}
	if e.DeleteTo > 0 {
		did = true
		r.deleteSoon(e.DeleteTo)
	}
	if a, ok := f.Ack(); ok {
		did = true
		if c := n.links[nodeID(leader)]; c != nil {
			a = r.n.w.bugs.ack(a)
			r.send(c, a)
			n.disk.acked(r, nodeID(leader), a)
		}
	}
	if c, ok := f.Credit(); ok {
		did = true
		if link := n.links[nodeID(leader)]; link != nil {
			r.send(link, c)
		}
	}
	if !r.book.lossy {
		r.book.passed(n.id, r.shadow, f.Watermark(), r.epoch)
	}
	return did
}

func (r *replica) send(c *conn, msg any) { c.send(r.n.id, streamed{r.id, r.num, msg}) }

// echo has an acknowledgement to a leader come to it again, some times, though it is not true any more: the log ends below it (D5).
func (r *replica) echo(leader nodeID, end model.Offset) {
	w, to := r.n.w, r.n.w.nodes[leader]
	a := r.n.disk.acks[ackKey{partitionKey{r.id, r.num}, leader}]
	if a.Own.Synced <= end || w.net.echo == 0 {
		return
	}
	for range 40 {
		w.after(w.between(0, time.Second), func() {
			to.guard(func() { to.fromFollower(r.n.id, streamed{r.id, r.num, a}) })()
		})
	}
}

// truncate cuts the log to where it parts from the leader's.
func (r *replica) truncate(t replication.Truncate) {
	n := r.n
	n.w.stats[truncations]++
	n.w.note(n.id, "cuts its log from %d to %d", int64(r.log.End()), int64(t.To))
	if t.Committed && !n.w.unclean && !r.book.lossy {
		n.w.fail("R2", "%v is to cut committed records, from %d on, of %d", r, t.To, r.log.End())
	}
	if !r.n.w.bugs.skipTruncation {
		cut := r.log.Truncate
		if t.All {
			cut = r.log.Restart
		}
		if err := cut(t.To); err != nil {
			r.cutting = false
			if t.All {
				t.To = r.shadow.start
			}
			r.shadow.torn(t.To) // nobody knows how far it has come
			r.fail(err)
			return
		}
		if t.All {
			r.shadow.restart(r.log.End())
		} else {
			r.shadow.cut(r.log.End())
		}
		r.fresh = nil
	}
	r.cutting = false
	r.account()
	r.book.covered()
	if r.follower != nil {
		r.follower.Truncated(r.own(), n.now())
	}
}

// deleteSoon has the log's start moved when the disk is ready for it.
func (r *replica) deleteSoon(to model.Offset) {
	waits := r.doomed > 0
	if r.doomed = max(r.doomed, to); !waits {
		r.n.idle(r.log, func() {
			to := r.doomed
			r.doomed = 0
			r.deleteTo(to)
		})
	}
}

// deleteTo moves the log's start. Where that fails, it is tried again when the start moves again.
func (r *replica) deleteTo(to model.Offset) {
	if r.log == nil || r.failed != nil {
		return
	}
	_, err := r.log.DeleteBefore(to)
	r.account()
	r.dirty = r.dirty || err == nil
}

// fromLeader takes a message on a stream.
func (n *node) fromLeader(from nodeID, s streamed) {
	r := n.find(s.id, s.num)
	if r == nil || r.follower == nil || r.failed != nil {
		return
	}
	switch m := s.msg.(type) {
	case replication.Batches:
		r.appendReplicated(m)
	case replication.Watermark:
		r.follower.HearWatermark(m)
	case replication.Answer:
		if no, ok := m.(replication.Refused); ok {
			n.w.note(n.id, "is refused by %d, reason %d", int64(from), int64(no.Reason))
		}
		r.follower.Answer(m, n.now())
	}
}

// heedful is the waiter of a replicated append: if that fails, for want of space, the core must hear of it, even if it
// was not told yet that the log had grown.
type heedful struct{ r *replica }

// Done implements wal.Waiter.
func (h heedful) Done(err error) {
	h.r.dirty = true
	h.r.undone = h.r.undone || err != nil
}

func (r *replica) appendReplicated(m replication.Batches) {
	n := r.n
	if !r.follower.Batches(m, n.now()) {
		return
	}
	expect := m.From
	for rest := m.Bytes; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err == nil {
			_, err = r.log.Append(wal.Append{Batch: b, Epoch: b.LeaderEpoch(), ExpectEnd: expect, Origin: producers.Replication, Waiter: heedful{r}})
		}
		if err != nil {
			n.w.note(n.id, "cannot append what it was sent, from %d on", int64(m.From))
			r.account()
			r.follower.AppendFailed(r.own(), n.now())
			return
		}
		expect = b.LastOffset() + 1
		r.shadow.append(storedOf(b))
		r.fresh = append(r.fresh, fresh{b.BaseOffset(), expect, b})
		rest = more
	}
	r.dirty = true
}
