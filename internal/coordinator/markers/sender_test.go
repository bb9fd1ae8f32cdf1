package markers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// world is partitions that are led, and brokers that write markers or do not.
type world struct {
	mu      sync.Mutex
	leaders map[model.TopicPartition]model.BrokerID
	down    map[model.BrokerID]error
	refuse  map[model.TopicPartition]error
	calls   []string // broker: partitions
	told    map[model.TopicPartition]int
	over    chan struct{}
	block   chan struct{} // not nil: calls wait for it
	here    []func(error) // of markers in this broker's log, which has not answered
	log     strings.Builder
}

func tp(topic string, n int32) model.TopicPartition {
	return model.TopicPartition{Topic: topic, Partition: n}
}

func (w *world) leader(p model.TopicPartition) (model.BrokerID, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.leaders[p]
	return l, ok
}

func (w *world) write(_ context.Context, to model.BrokerID, entries []Entry) ([][]error, error) {
	w.mu.Lock()
	block := w.block
	w.mu.Unlock()
	if block != nil {
		<-block
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out [][]error
	call := string('0'+rune(to)) + ":"
	for _, e := range entries {
		var errs []error
		for _, p := range e.Partitions {
			call += " " + p.String()
			errs = append(errs, w.refuse[p])
		}
		out = append(out, errs)
	}
	w.calls = append(w.calls, call)
	return out, w.down[to]
}

// node is the broker that the Sender is of.
const node = 9

func (w *world) append(p model.TopicPartition, e Entry, done func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "here: "+p.String())
	w.here = append(w.here, done)
}

func (w *world) Epoch() model.LeaderEpoch { return 4 }
func (w *world) Over() <-chan struct{}    { return w.over }
func (w *world) Written(_ *txn.Markers, ps []model.TopicPartition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range ps {
		w.told[p]++
	}
}

// in runs a test with a Sender.
func in(t *testing.T, test func(t *testing.T, w *world, s *Sender)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			leaders: map[model.TopicPartition]model.BrokerID{tp("a", 0): 1, tp("a", 1): 2, tp("b", 0): 1}, down: map[model.BrokerID]error{},
			refuse: map[model.TopicPartition]error{}, told: map[model.TopicPartition]int{}, over: make(chan struct{}),
		}
		s := New(Options{Leader: w.leader, Node: node, Append: w.append, Write: w.write, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
		defer s.Stop()
		test(t, w, s)
	})
}

var all = &txn.Markers{TransactionalID: "tx", Partitions: []model.TopicPartition{tp("a", 0), tp("a", 1), tp("b", 0), tp("gone", 0)}}

func TestT3EachPartitionHears(t *testing.T) {
	in(t, func(t *testing.T, w *world, s *Sender) {
		w.refuse[tp("b", 0)] = errors.New("too few replicas")
		w.leaders[tp("a", 1)] = model.NoBroker
		s.Send(w, all)
		pass(30 * time.Second)
		if len(w.told) != 1 || w.told[tp("a", 0)] != 1 {
			t.Errorf("told are %v", w.told)
		}
		if n := len(w.calls); n < 30 || n > 60 {
			t.Errorf("%d calls within 30 s, the pauses are up to a second", n)
		}
		if !strings.Contains(w.log.String(), "too few replicas") {
			t.Errorf("nobody was told: %s", w.log.String())
		}
		w.mu.Lock()
		w.refuse, w.leaders[tp("b", 0)], w.leaders[tp("a", 1)] = nil, 3, 3
		w.mu.Unlock()
		pass(2 * time.Second)
		if w.told[tp("a", 1)] != 1 || w.told[tp("b", 0)] != 1 || !strings.HasPrefix(w.calls[len(w.calls)-1], "3: ") {
			t.Errorf("told are %v after %v", w.told, w.calls)
		}
	})
}

// TestOneCall: what comes while a call is under way goes with the next one.
func TestOneCall(t *testing.T) {
	in(t, func(t *testing.T, w *world, s *Sender) {
		w.block = make(chan struct{})
		one := func() *txn.Markers { return &txn.Markers{Partitions: []model.TopicPartition{tp("a", 0)}} }
		s.Send(w, one())
		synctest.Wait()
		s.Send(w, one())
		s.Send(w, one())
		synctest.Wait()
		close(w.block)
		synctest.Wait()
		if want := []string{"1: a-0", "1: a-0 a-0"}; !slices.Equal(w.calls, want) {
			t.Errorf("calls are %q, want %q", w.calls, want)
		}
	})
}

// TestHere: this broker's partitions take their markers at once, and nobody waits for others; what is refused is routed again.
func TestHere(t *testing.T) {
	in(t, func(t *testing.T, w *world, s *Sender) {
		w.leaders[tp("a", 0)], w.leaders[tp("b", 0)], w.block = node, node, make(chan struct{})
		s.Send(w, all)
		s.Send(w, &txn.Markers{Partitions: []model.TopicPartition{tp("b", 0)}})
		if want := []string{"here: a-0", "here: b-0", "here: b-0"}; !slices.Equal(w.calls, want) {
			t.Fatalf("calls are %q, want %q", w.calls, want)
		}
		w.here[2](nil)
		w.here[0](nil)
		synctest.Wait()
		if w.told[tp("a", 0)] != 1 || w.told[tp("b", 0)] != 1 {
			t.Errorf("told are %v", w.told)
		}
		w.leaders[tp("b", 0)] = 3
		w.here[1](errors.New("not the leader"))
		close(w.block)
		pass(time.Second)
		if w.told[tp("a", 0)] != 1 || w.told[tp("a", 1)] != 1 || w.told[tp("b", 0)] != 2 || !slices.Contains(w.calls, "3: b-0") {
			t.Errorf("told are %v after %q", w.told, w.calls)
		}
	})
}

// TestT3CoordinatorIsOver: nothing is repeated for a coordinator that has ended.
func TestT3CoordinatorIsOver(t *testing.T) {
	in(t, func(t *testing.T, w *world, s *Sender) {
		w.down[1], w.down[2] = errors.New("down"), errors.New("down")
		s.Send(w, all)
		pass(time.Second)
		close(w.over)
		pass(2 * time.Second)
		n := len(w.calls)
		pass(10 * time.Second)
		if len(w.calls) != n || len(w.told) > 0 {
			t.Errorf("%d calls after its end, told are %v", len(w.calls)-n, w.told)
		}
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
