package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// run owns the member.
func (r *Raft) run() {
	ticks := r.opts.Ticks
	if ticks == nil {
		t := time.NewTicker(TickInterval)
		defer t.Stop()
		ticks = t.C
	}
	for r.act() {
		select {
		case <-r.done:
		case <-ticks:
			for range len(r.inbox) { // what has come is older than the tick
				r.receive(<-r.inbox)
			}
			r.member.Tick(r.opts.Now())
			r.reads.tick(r.member)
		case l := <-r.inbox:
			r.receive(l)
		case f := <-r.calls:
			f()
		case err := <-r.saved:
			r.member.Saved(err)
		case err := <-r.compacted:
			r.member.Compacted(err)
		}
	}
	for _, w := range r.wait {
		w.answer <- outcome{err: r.stopped()}
	}
	r.reads.fail(r.stopped())
}

// receive gives a message to the member. A replica that waits to be taken in knows its leader only from its messages.
func (r *Raft) receive(l letter) {
	id := l.message.GetFrom()
	if id != l.from.id() {
		return
	}
	if len(r.routes) >= maxReplicas {
		clear(r.routes)
	}
	r.routes[id] = l.from
	r.member.Step(r.opts.Now(), l.message)
}

// act does what the member asks for. It reports whether to go on.
func (r *Raft) act() bool {
	e := r.member.Take()
	if e.Save != nil {
		r.saves <- e.Save
	}
	if e.Compact != nil {
		r.compact <- e.Compact
	}
	for _, m := range e.Send {
		r.send(m)
	}
	for _, c := range e.Applied {
		w, ok := r.wait[c.Index]
		delete(r.wait, c.Index)
		if ok && w.term != c.Term {
			w.answer <- outcome{err: r.member.notController()} // another entry has taken its place
			ok = false
		}
		if !ok {
			w.answer = nil
		}
		r.changes.push(telling{change: c, answer: w.answer})
	}
	for _, read := range e.Reads {
		r.reads.answer(read)
	}
	r.lead()
	r.saveAge.Store(int64(r.member.SaveAge()))
	if err := r.member.Err(); err != nil {
		r.stop(err)
	}
	select {
	case <-r.done:
		return false
	default:
	}
	if r.reads.begin(r.member) {
		return r.act()
	}
	return true
}

// lead notices who leads. Who waits for a commit in a term that is over cannot be told what came of it (D4).
func (r *Raft) lead() {
	now := leadership{active: r.member.Active()}
	now.replica, now.term, now.known = r.member.Leader()
	if now != r.known {
		r.known = now
		if now.active {
			now.before, now.silence, now.led = r.member.Predecessor()
		}
		r.leader.Store(&now)
	}
	leading := r.member.role.leading
	for index, w := range r.wait {
		if !leading || w.term != now.term {
			delete(r.wait, index)
			w.answer <- outcome{err: ErrUnknownOutcome}
		}
	}
	if !leading {
		r.reads.depose(r.member.notController())
	}
}

// send hands a message to the transport; a snapshot goes beside it.
func (r *Raft) send(m *pb.Message) {
	to, ok := r.member.replica(m.GetTo())
	if !ok {
		if to, ok = r.routes[m.GetTo()]; !ok {
			return // it has left
		}
	}
	if m.GetType() != pb.MsgSnap {
		r.opts.Transport.Send(to, m)
		return
	}
	data := m.GetSnapshot().GetData()
	m.Snapshot = &pb.Snapshot{Metadata: proto.CloneOf(m.GetSnapshot().GetMetadata())}
	id := m.GetTo()
	r.opts.Transport.SendSnapshot(to, m, bytes.NewReader(data), int64(len(data)), func(err error) {
		go r.report(id, err) // it may be called from Send itself
	})
}

// Unreachable hears from the transport that messages to a replica were lost: what was sent to it is sent again when it answers, and not
// when it is found to have a gap. It may wait for the goroutine that Send is called from.
func (r *Raft) Unreachable(who Replica) {
	select {
	case r.calls <- func() { r.member.Unreachable(who.id()) }:
	case <-r.done:
	}
}

func (r *Raft) report(to uint64, err error) {
	select {
	case r.calls <- func() { r.member.Snapshotted(to, err == nil) }:
	case <-r.done:
	}
}

// save makes durable what is ordered. A full disk holds the order up until there is space (E3): what is in it was sent to
// others, perhaps, and cannot be taken back.
func (r *Raft) save() {
	for {
		select {
		case s := <-r.saves:
			r.saved <- r.saveOne(s)
		case <-r.done:
			return
		}
	}
}

func (r *Raft) saveOne(s *Save) error {
	for {
		err := r.disk.Save(s)
		if !errors.Is(err, ErrNoSpace) {
			r.full.Store(false)
			return err
		}
		if !r.full.Swap(true) {
			r.opts.Log.Error("the disk is full: no metadata can be changed through this node until there is space", "error", err)
			r.tellFull(err)
		}
		retry := time.NewTimer(retryNoSpace)
		select {
		case <-retry.C:
		case <-r.done:
			retry.Stop()
			return err
		}
	}
}

// tellFull answers those who wait for an entry that has no space. It may still be committed: with space, or by others.
func (r *Raft) tellFull(cause error) {
	select {
	case r.calls <- func() {
		for index, w := range r.wait {
			delete(r.wait, index)
			w.answer <- outcome{err: fmt.Errorf("%w: %v", ErrUnknownOutcome, cause)}
		}
	}:
	case <-r.done:
	}
}

func (r *Raft) writeSnapshots() {
	for {
		select {
		case c := <-r.compact:
			r.compacted <- r.disk.Compact(c)
		case <-r.done:
			return
		}
	}
}

// telling is a change to be told to the node, and who waits for it.
type telling struct {
	change Change
	answer chan<- outcome
	follow *following
}

// pipe is a queue without a bound: the member must never wait for the node.
type pipe struct {
	mu    sync.Mutex
	items []telling
	wake  chan struct{}
}

func (p *pipe) push(t telling) {
	p.mu.Lock()
	p.items = append(p.items, t)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) take() []telling {
	p.mu.Lock()
	defer p.mu.Unlock()
	items := p.items
	p.items = nil
	return items
}

// following is who follows the changes, from an image on.
type following struct {
	start func(Image)
	each  Applied
	begun chan struct{}
}

// tell tells the node of each change, then the readers, then who has proposed it.
func (r *Raft) tell() {
	var f *following
	im := r.store.Load()
	for {
		select {
		case <-r.done:
			for _, t := range r.changes.take() {
				if t.answer != nil {
					t.answer <- outcome{err: r.stopped()}
				}
			}
			return
		case <-r.changes.wake:
		}
		for _, t := range r.changes.take() {
			if t.follow != nil {
				f = t.follow
				f.start(im)
				close(f.begun)
				continue
			}
			before := im
			im = t.change.Image
			if f != nil {
				delta := t.change.Delta
				if delta == nil {
					delta = difference(before, im)
				}
				f.each(im, delta)
			}
			r.store.Publish(im)
			if t.answer != nil {
				t.answer <- outcome{image: im, err: t.change.Conflict}
			}
		}
	}
}
