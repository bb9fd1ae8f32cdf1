package quorum

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// TestRaftGrowsFromStandalone: a standalone directory becomes the first member of three, with or without a snapshot, and
// nothing is lost (M5). Then it is no standalone directory any more.
func TestRaftGrowsFromStandalone(t *testing.T) {
	for _, entries := range []int{0, 3, 30} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d entries, clean %v", entries, clean), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { growFromStandalone(t, entries, clean) })
			})
		}
	}
}

func growFromStandalone(t *testing.T, entries int, clean bool) {
	f := crashfs.New(1)
	q := open(t, f, 20)
	im := q.Images().Load()
	for range entries {
		im = must(t, q, grow)
	}
	if clean {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	} else {
		f = f.Crash(crashfs.Lose)
	}
	w := newWires(t)
	nodes := []*box{w.box(1, f).open(entries == 0), w.box(2, nil).open(false), w.box(3, nil).open(false)}
	w.admit(nodes[0], nodes[1:]...)
	w.agree(nodes...)
	for _, n := range nodes {
		got := n.Images().Load()
		for topic := range im.Topics() {
			if diff := cmp.Diff(topic, got.TopicByID(topic.ID)); diff != "" {
				t.Errorf("node %d: topic %s: %s", n.self.Node, topic.Name, diff)
			}
		}
		if got.Index() <= im.Index() || got.TopicCount() != im.TopicCount() {
			t.Errorf("node %d: %d topics at index %d; standalone %d at %d", n.self.Node, got.TopicCount(), got.Index(), im.TopicCount(), im.Index())
		}
	}
	for _, n := range nodes {
		n.close()
	}
	if _, err := tryOpen(t, nodes[0].fs, "c", 20); !errors.Is(err, ErrQuorum) || !strings.Contains(err.Error(), "--peers") {
		t.Errorf("opened as standalone: %v, want ErrQuorum", err)
	}
	for _, n := range nodes {
		n.open(false)
	}
	if err := w.leader(nodes...).set("after a restart of all"); err != nil {
		t.Error(err)
	}
	w.agree(nodes...)
	for _, n := range nodes {
		n.close()
	}
}

// TestRaftWipedDirectory: a voter whose directory is new has no vote until it was removed and taken in again (KIP-853, R7).
func TestRaftWipedDirectory(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		l, lost := nodes[0], nodes[2]
		lost.close()
		fresh := w.box(3, nil)
		fresh.self.Directory = image.UUID{15: 99}
		fresh.open(false)
		if err := l.Learn(t.Context(), fresh.self); !errors.Is(err, ErrMembership) || !strings.Contains(err.Error(), "remove") {
			t.Errorf("taken in beside its old directory: %v, want ErrMembership", err)
		}
		// It is no voter: with the other one gone as well there is no majority.
		nodes[1].close()
		time.Sleep(3 * time.Second) // virtual
		if err := l.set("x"); !errors.Is(err, ErrNotController) {
			t.Errorf("decided with one voter of three: %v", err)
		}
		nodes[1].open(false)
		l = w.leader(nodes[:2]...)
		if err := l.Remove(t.Context(), lost.self); err != nil {
			t.Fatal(err)
		}
		if err := l.Admit(t.Context(), fresh.self); err != nil {
			t.Fatal(err)
		}
		nodes[2] = fresh
		w.agree(nodes...)
		s, err := l.Status(t.Context())
		if err != nil || len(s.Voters) != 3 || s.Voters[2].Replica != fresh.self {
			t.Errorf("voters %+v, %v", s.Voters, err)
		}
		if err := l.Remove(t.Context(), l.self); !errors.Is(err, ErrMembership) {
			t.Errorf("the leader removes itself: %v, want ErrMembership", err)
		}
	})
}

// TestRaftReplacesAVoter: one voter for another in one step, through joint consensus.
func TestRaftReplacesAVoter(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		l := nodes[0]
		fourth := w.box(4, nil).open(false)
		if err := l.Learn(t.Context(), fourth.self); err != nil {
			t.Fatal(err)
		}
		if err := l.Change(t.Context(), ConfigChange{Promote: []Replica{fourth.self}, Remove: []Replica{nodes[2].self}}); err != nil {
			t.Fatal(err)
		}
		nodes[2].close()
		if err := l.set("with the new one"); err != nil {
			t.Fatal(err)
		}
		w.agree(nodes[0], nodes[1], fourth)
		s, err := l.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []model.BrokerID
		for _, v := range s.Voters {
			ids = append(ids, v.Node)
		}
		if !cmp.Equal(ids, []model.BrokerID{1, 2, 4}) || len(s.Observers) != 0 {
			t.Errorf("voters %v, observers %+v", ids, s.Observers)
		}
		fourth.close()
	})
}

// TestRaftStatus: what DescribeQuorum shows.
func TestRaftStatus(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		learner := w.box(4, nil).open(false)
		if err := nodes[0].Learn(t.Context(), learner.self); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].set("x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.isolate(3, true)
		if err := nodes[0].set("y"); err != nil {
			t.Fatal(err)
		}
		cut := time.Now()
		time.Sleep(5 * time.Second)
		s, err := nodes[0].Status(t.Context())
		if err != nil || s.Leader != 1 || len(s.Voters) != 3 || len(s.Observers) != 1 || s.HighWatermark != nodes[0].Images().Load().Index() {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, st := range append(s.Voters, s.Observers...) {
			end, heard := s.HighWatermark, time.Now()
			if st.Node == 3 {
				end, heard = end-1, cut
			}
			if st.LogEnd != end || st.IsLeader != (st.Node == 1) {
				t.Errorf("node %d: log end %d, want %d; leader %v", st.Node, st.LogEnd, end, st.IsLeader)
			}
			if d := heard.Sub(st.LastFetch); d < 0 || d > 200*time.Millisecond {
				t.Errorf("node %d was heard last %v before it must have been", st.Node, d)
			}
			if d := heard.Sub(st.LastCaughtUp); d < 0 || d > 200*time.Millisecond {
				t.Errorf("node %d was caught up last %v before it must have been", st.Node, d)
			}
		}
		learner.close()
	})
}

// TestRaftFollow: who follows is told every change once and in order, from a first image on; a snapshot is told as the
// difference that it makes.
func TestRaftFollow(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		var mu sync.Mutex
		topics := make(map[string]bool)
		n := nodes[2]
		err := n.Follow(t.Context(), func(im *image.Image) {
			for topic := range im.Topics() {
				topics[topic.Name] = true
			}
		}, func(im *image.Image, d *image.Delta) {
			mu.Lock()
			defer mu.Unlock()
			for _, topic := range d.TopicsCreated {
				if topics[topic.Name] {
					t.Errorf("topic %s was told twice", topic.Name)
				}
				topics[topic.Name] = true
			}
			if len(topics) != im.TopicCount() {
				t.Errorf("at index %d %d topics are known, the image has %d", im.Index(), len(topics), im.TopicCount())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 70 {
			w.isolate(3, i >= 20 && i < 60) // long enough to need a snapshot
			if _, err := nodes[0].Propose(t.Context(), grow); err != nil {
				t.Fatal(err)
			}
		}
		w.agree(nodes...)
		if im := n.Images().Load(); im.TopicCount() != 70 {
			t.Errorf("%d topics", im.TopicCount())
		}
	})
}

// TestDifferenceIsTheSumOfDeltas: images with a gap between them.
func TestDifferenceIsTheSumOfDeltas(t *testing.T) {
	a := image.New("c")
	b := a
	for i := range 6 {
		decide := grow
		if i == 3 {
			decide = change("v")
		}
		commands, err := decide(b)
		if err != nil {
			t.Fatal(err)
		}
		if b, _, err = image.Apply(b, commands, 1, b.Index()+1); err != nil {
			t.Fatal(err)
		}
	}
	d := difference(a, b)
	if len(d.TopicsCreated) != 5 || !d.ClusterConfig || len(d.NodesChanged) != 1 || len(d.Partitions)+len(d.TopicsDeleted) != 0 {
		t.Errorf("%+v", d)
	}
	back := difference(b, a)
	if diff := cmp.Diff(d.TopicsCreated, back.TopicsDeleted, cmpopts.EquateEmpty()); diff != "" || len(back.TopicsCreated) != 0 {
		t.Errorf("the way back: %s", diff)
	}
	if !difference(b, b).Empty() {
		t.Error("an image differs from itself")
	}
}
