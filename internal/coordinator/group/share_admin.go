package group

import (
	"cmp"
	"time"

	"chronik/internal/coordinator/shard"
)

// DescribeShare shows share groups, in the order in which they are asked for.
func (m *Machine) DescribeShare(groups []string, reply func([]ShareDescription, error)) shard.Result {
	d := m.decide(time.Time{})
	out := make([]ShareDescription, len(groups))
	for i, id := range groups {
		g := m.lookup(id)
		if !g.isShare() {
			out[i] = ShareDescription{Group: id, State: Dead, Err: ErrGroupNotFound}
			continue
		}
		d.sees(g)
		out[i] = m.describeModern(g, g.share, shareAssignor)
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

// SharePartitions shows which partitions a share group reads, of topics that exist: none if there is no such group. What it has done with them
// is for their own coordinators to tell.
func (m *Machine) SharePartitions(group string, reply func([]DescribedPartitions, error)) shard.Result {
	d := m.decide(time.Time{})
	var out []DescribedPartitions
	if g := m.lookup(group); g.isShare() {
		d.sees(g)
		out = m.named(g.share.shares.at().initialized)
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

// waits is a reply that waits for a call, or is given without.
type waits[R any] struct {
	reply  func(R) // nil: it was called
	out    R
	failed func(error) R
}

func (x *waits[R]) call(r R) {
	if f := x.reply; f != nil {
		x.reply = nil
		f(r)
	}
}

// fail answers with an error for all.
func (x *waits[R]) fail(err error) { x.call(x.failed(err)) }

// first is the answer of the decision that leads to the call: only if it has failed it is the last word.
func (x *waits[R]) first(err error) {
	if err != nil {
		x.fail(err)
	}
}

// done is the answer of the last decision.
func (x *waits[R]) done(err error) {
	if err != nil {
		x.fail(err)
		return
	}
	x.call(x.out)
}

// refuse answers a request that changes nothing.
func (d *decision) refuse(g *group, fail func(error), err error) shard.Result {
	d.answer(func(unsafe error) {
		if unsafe != nil {
			err = unsafe
		}
		fail(err)
	})
	return d.done(g)
}

// deletion is a DeleteGroups that waits for what share groups have done to be forgotten.
type deletion struct {
	waits[DeleteReply]
	left int // decisions to come
}

// next is the answer of one of its decisions but the first, about one group.
func (x *deletion) next(i int, err error) {
	if x.left--; err != nil && x.out.Groups[i] == nil {
		x.out.Groups[i] = err
	}
	if x.left == 0 {
		x.call(x.out)
	}
}

// deleteShare deletes a share group without members once what it has done is forgotten.
func (d *decision) deleteShare(g *group, x *deletion, i int) {
	sh := g.share.shares
	if sh.call != nil {
		x.out.Groups[i] = ErrShareBusy
		return
	}
	call := &ShareCall{Delete: true, fail: func(err error) { x.next(i, err) }}
	known := d.m.known(sh.at())
	if len(known) == 0 {
		d.deleteGroup(g)
		return
	}
	call.then = func(d *decision, g *group, errs []error) {
		err := d.m.failure(call, errs)
		if err == nil && g.share.members.Len() > 0 {
			err = ErrNonEmptyGroup
		}
		if err == nil {
			d.deleteGroup(g)
		} else {
			d.forgotten(g, call, errs)
		}
		d.answer(func(unsafe error) { x.next(i, cmp.Or(unsafe, err)) })
	}
	x.left++
	d.forget(g, call, known)
}
