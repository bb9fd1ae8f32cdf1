package operate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/operate"
)

// twelve is four nodes with twelve partitions of three replicas each.
func twelve() *operate.View {
	var replicas [][]model.BrokerID
	for i := range model.BrokerID(12) {
		replicas = append(replicas, on(i%4+1, (i+1)%4+1, (i+2)%4+1))
	}
	return view(4, replicas...)
}

func run(f *fake, aim operate.Aim, throttle int64) *operate.Run {
	return &operate.Run{Cluster: f, Aim: aim, Throttle: throttle, Poll: time.Second, Patience: time.Minute, Report: func(string) {}}
}

// TestRemoveResumesAnywhere: a removal that is interrupted before any of its calls comes to the same end when it is begun again.
func TestRemoveResumesAnywhere(t *testing.T) {
	for stop := 0; ; stop++ {
		interrupted := false
		synctest.Test(t, func(t *testing.T) {
			f, calls := &fake{view: twelve()}, 0
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f.before = func(call string) error {
				if calls++; calls == stop+1 {
					interrupted = true
					cancel(errors.New("Ctrl-C"))
					return ctx.Err()
				}
				if f.view.Node(3) != nil && call == "remove voter 3" {
					fence(f.view, 3) // the operator stops it
				}
				return nil
			}
			aim := operate.RemoveNode{ID: 3, Limit: 2}
			err := run(f, aim, 1000).Do(ctx)
			if interrupted {
				if err == nil {
					t.Fatalf("interrupted before call %d: %v", stop, err)
				}
				err = run(f, aim, 1000).Do(t.Context())
			}
			if err != nil {
				t.Fatalf("interrupted before call %d: %v", stop, err)
			}
			if f.view.Node(3) != nil || len(f.view.Quorum.Voters) != 3 || f.throttled || f.peak > 2 {
				t.Errorf("interrupted before call %d: nodes %v, %d voters, throttled %v, %d moves at a time", stop, f.view.Nodes, len(f.view.Quorum.Voters), f.throttled, f.peak)
			}
			for _, p := range f.view.Partitions {
				if slices.Contains(p.Replicas, 3) || len(p.Replicas) != 3 {
					t.Errorf("interrupted before call %d: %v has %v", stop, p.TopicPartition, p.Replicas)
				}
			}
		})
		if !interrupted {
			if stop < 10 {
				t.Errorf("there were only %d calls to interrupt", stop)
			}
			return
		}
	}
}

// TestErrorsAreTriedAgain: until the patience ends.
func TestErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{view: twelve()}
		until := time.Now().Add(50 * time.Second)
		f.before = func(string) error {
			if time.Now().Before(until) && f.looked > 0 {
				return errors.New("nobody answers")
			}
			return nil
		}
		if err := run(f, operate.Rebalance{Limit: 1}, 0).Do(t.Context()); err != nil {
			t.Errorf("50 s of errors, then none: %v", err)
		}
		until, f.looked = time.Now().Add(time.Hour), 0
		began := time.Now()
		err := run(f, operate.Rebalance{Limit: 1}, 0).Do(t.Context())
		if err == nil || !strings.Contains(err.Error(), "nobody answers") {
			t.Errorf("an hour of errors: %v", err)
		}
		if took := time.Since(began); took > 70*time.Second {
			t.Errorf("given up after %s", took)
		}
	})
}

// TestWrongPlace: where no cluster was ever seen there is no patience.
func TestWrongPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{view: twelve(), before: func(string) error { return errors.New("connection refused") }}
		began := time.Now()
		if err := run(f, operate.Rebalance{Limit: 1}, 0).Do(t.Context()); err == nil || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestAddNode waits for the node, gives it a vote and its share.
func TestAddNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := view(3, on(1, 2, 3), on(2, 3, 1), on(3, 1, 2), on(1, 3, 2))
		f := &fake{view: v}
		var lines []string
		r := run(f, operate.AddNode{ID: 4, Voter: true, Rebalance: operate.Rebalance{Limit: 1}}, 0)
		r.Report = func(line string) { lines = append(lines, line) }
		f.before = func(call string) error {
			if call == "view" && f.looked == 3 {
				v.Nodes = append(v.Nodes, operate.Node{ID: 4, Host: "h4", Port: 9092})
				v.Quorum.Observers = []operate.Follower{{Node: 4, Directory: [16]byte{4}, Heard: start, LogEnd: 10}}
			}
			return nil
		}
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		on4, leads4 := 0, 0
		for _, p := range v.Partitions {
			if slices.Contains(p.Replicas, 4) {
				on4++
			}
			if p.Leader == 4 {
				leads4++
			}
			if p.Leader != p.Replicas[0] {
				t.Errorf("%v is led by %d, the preferred replica is %d", p.TopicPartition, p.Leader, p.Replicas[0])
			}
		}
		if on4 != 3 || leads4 != 1 || len(v.Quorum.Voters) != 4 || f.peak > 1 {
			t.Errorf("node 4 holds %d and leads %d, there are %d voters; %d moves at a time\n%s", on4, leads4, len(v.Quorum.Voters), f.peak, strings.Join(lines, "\n"))
		}
		if !strings.Contains(lines[0], "--node-id 4") {
			t.Errorf("the first line does not say how to start the node: %s", lines[0])
		}
	})
}

// TestRebalanceIsDoneOnce: on a cluster that is even nothing is done.
func TestRebalanceIsDoneOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := twelve()
		v.Nodes = append(v.Nodes, operate.Node{ID: 5})
		f := &fake{view: v}
		if err := run(f, operate.Rebalance{Limit: 3}, 0).Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(f.calls) < 3 {
			t.Errorf("only %v was done", f.calls)
		}
		f.calls = nil
		if err := run(f, operate.Rebalance{Limit: 3}, 0).Do(t.Context()); err != nil || fmt.Sprint(f.calls) != "[unthrottle]" {
			t.Errorf("a second time %v was done: %v", f.calls, err)
		}
	})
}
