package stream

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/model"
)

// rawFollower is a follower's end of a link, by hand.
type rawFollower struct {
	link   *link.Link
	closed chan error
	frames chan byte
}

func (r *rawFollower) Frame(kind byte, _ []byte, _ *mem.Buf) error { r.frames <- kind; return nil }
func (r *rawFollower) Drained()                                    {}
func (r *rawFollower) Fill(*link.Batch) bool                       { return false }
func (r *rawFollower) Closed(reason error)                         { r.closed <- reason }

// connect links node 2, in a broker epoch, to the leader's senders.
func connect(t *testing.T, senders *Senders, epoch model.BrokerEpoch) *rawFollower {
	t.Helper()
	near, far := memnet.Pipe(64 << 10)
	go func() {
		l, err := link.Accept(t.Context(), far, linkConfig(leaderNode))
		if err != nil {
			t.Error(err)
			return
		}
		l.Run(senders.Open(l))
	}()
	cfg := linkConfig(2)
	cfg.Epoch = func() model.BrokerEpoch { return epoch }
	l, err := link.Dial(t.Context(), near, cfg, link.Replication, leaderNode)
	if err != nil {
		t.Fatal(err)
	}
	r := &rawFollower{link: l, closed: make(chan error, 1), frames: make(chan byte, 100)}
	go l.Run(r)
	synctest.Wait()
	return r
}

// ask subscribes a partition, over that link.
func (r *rawFollower) ask(t *testing.T, p *leading, as model.BrokerID, numbers *atomic.Uint64) {
	t.Helper()
	f := newFollowing(as, p.topic, p.part, numbers, window)
	f.core.Follow(leaderNode, 5, f.log.own(), time.Now())
	if err := r.link.TrySend(frameSubscribes, appendSubscribe(nil, f.core.Take().Subscribe), nil, nil); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// TestNewLinkReplacesTheOld: the partitions hear that the old link is lost before anything comes over the new one, also when nobody has noticed that
// it is gone; a link of an incarnation that is over does not replace anything (R1).
func TestNewLinkReplacesTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLeading(model.TopicID{1}, 0, leaderNode, 2)
		p.begin()
		senders := NewSenders(partitions{p}, NewColdReads(1))
		var numbers atomic.Uint64
		first := connect(t, senders, epochOf(2))
		first.ask(t, p, 2, &numbers)
		if len(first.frames) == 0 || p.lostBy(2) != 0 {
			t.Fatal("the first link does not stream")
		}
		second := connect(t, senders, epochOf(2))
		if p.lostBy(2) != 1 {
			t.Errorf("%d lost links were told", p.lostBy(2))
		}
		var bye *link.GoodbyeError
		if err := <-first.closed; !errors.As(err, &bye) || !strings.Contains(bye.Reason, "another link") {
			t.Errorf("the first link ended with %v", err)
		}
		second.ask(t, p, 2, &numbers)
		p.produce(1, 100)
		synctest.Wait()
		if got := len(second.frames); got < 2 || p.lostBy(2) != 1 {
			t.Errorf("%d frames over the second link, %d lost links", got, p.lostBy(2))
		}
		old := connect(t, senders, epochOf(2)-1)
		if err := <-old.closed; err == nil {
			t.Error("an old incarnation has a link")
		}
		if p.lostBy(2) != 1 || len(second.closed) != 0 {
			t.Error("the link of an old incarnation has replaced the present one")
		}
		second.link.Close(nil)
		<-second.closed
		synctest.Wait()
		if p.lostBy(2) != 2 || len(senders.byNode) != 0 {
			t.Errorf("%d lost links were told, %d senders are left", p.lostBy(2), len(senders.byNode))
		}
	})
}

// TestNobodySubscribesForAnother: the name in a subscription is the one that the link has proved (E5).
func TestNobodySubscribesForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLeading(model.TopicID{1}, 0, leaderNode, 2, 3)
		p.begin()
		r := connect(t, NewSenders(partitions{p}, NewColdReads(1)), epochOf(2))
		r.ask(t, p, 3, new(atomic.Uint64))
		var bye *link.GoodbyeError
		if err := <-r.closed; !errors.As(err, &bye) || !strings.Contains(bye.Reason, "node 2 subscribes as broker 3") {
			t.Errorf("the link ended with %v", err)
		}
	})
}

// TestClosedLanesHearNothing: a partition that is gone does not hear of the link's end.
func TestClosedLanesHearNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLeading(model.TopicID{1}, 0, leaderNode, 2)
		p.begin()
		r := connect(t, NewSenders(partitions{p}, NewColdReads(1)), epochOf(2))
		r.ask(t, p, 2, new(atomic.Uint64))
		p.mu.Lock()
		lane := p.lanes[2]
		p.mu.Unlock()
		lane.Close()
		lane.Wake()
		r.link.Close(nil)
		<-r.closed
		synctest.Wait()
		if p.lostBy(2) != 0 {
			t.Error("it heard of the lost link")
		}
	})
}
