package sharestate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// here is this broker.
const here = model.BrokerID(1)

// world is coordinators of share partitions, on this broker and on others. Every share partition is of partition 0 of the topic if its own number is even, else of 1.
type world struct {
	mu      sync.Mutex
	exists  bool
	created int
	leaders [2]model.BrokerID
	down    map[model.BrokerID]error // what calls to a broker end with
	refuse  map[model.BrokerID]error // what its coordinators say
	calls   []string
	block   chan struct{} // not nil: calls wait for it
	log     strings.Builder
}

func (w *world) coordinator(k share.Key) (int32, model.BrokerID, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return k.Partition % 2, w.leaders[k.Partition%2], w.exists
}

func (w *world) create(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.created++
	w.exists = true
	return nil
}

// Ask implements Coordinator with a machine that knows nothing.
func (w *world) Ask(_ string, decide func(*share.Machine, time.Time) shard.Result, refuse func(error)) {
	w.mu.Lock()
	err := w.refuse[here]
	w.calls = append(w.calls, "1: here")
	w.mu.Unlock()
	if err != nil {
		refuse(err)
		return
	}
	m := share.New(share.Config{})
	m.Loaded(time.Now(), image.New("c"))
	decide(m, time.Now()).Reply(nil)
}

func (w *world) send(ctx context.Context, to model.BrokerID, all []Request) ([]Answer, error) {
	w.mu.Lock()
	block := w.block
	call := fmt.Sprintf("%d: %v %s", to, all[0].Op, all[0].Key.Group)
	out := make([]Answer, len(all))
	for i, r := range all {
		call += fmt.Sprintf(" %d", r.Key.Partition)
		out[i] = Answer{share.State{Start: model.Offset(r.Key.Partition)}, w.refuse[to]}
	}
	w.calls = append(w.calls, call)
	err := w.down[to]
	w.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, errors.Join(ErrUnknown, ctx.Err())
		}
	}
	return out, err
}

// in runs a test with a Client. Its broker coordinates the even share partitions, broker 2 the others.
func in(t *testing.T, test func(t *testing.T, w *world, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{exists: true, leaders: [2]model.BrokerID{here, 2}, down: map[model.BrokerID]error{}, refuse: map[model.BrokerID]error{}}
		c := New(Options{
			Node: here, Coordinator: w.coordinator, Create: w.create, Here: w, Send: w.send, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		})
		defer c.Stop()
		test(t, w, c)
	})
}

func key(group string, partition int32) share.Key {
	return share.Key{Group: group, TopicID: model.TopicID{1}, Partition: partition}
}

// pass has time pass, and everything happen that happens until then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// answers collects what callers are told.
type answers struct {
	mu  sync.Mutex
	all []error
}

func (a *answers) add(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, err)
}

// one is the only answer; there must be one.
func (a *answers) one(t *testing.T) error {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) != 1 {
		t.Fatalf("%d answers: %v", len(a.all), a.all)
	}
	return a.all[0]
}

func TestEachIsAskedWhereItIs(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		var mine answers
		c.Write(key("g", 0), share.WriteRequest{}, mine.add)
		if err := mine.one(t); !errors.Is(err, share.ErrUninitialized) {
			t.Errorf("this broker's coordinator says %v", err)
		}
		var state share.State
		c.Read(key("g", 3), 7, func(s share.State, err error) { state = s })
		synctest.Wait()
		if state.Start != 3 || strings.Join(w.calls, "; ") != "1: here; 2: read g 3" {
			t.Errorf("the other one says %+v after %q", state, w.calls)
		}
	})
}

func TestNoGroup(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		var told answers
		c.Forget(key("", 1), told.add)
		if err := told.one(t); !errors.Is(err, share.ErrInvalid) || len(w.calls) != 0 {
			t.Errorf("told is %v after %q", err, w.calls)
		}
	})
}

// TestWhatWaitsGoesTogether: while two calls are under way, the next one gathers; other groups and operations do not wait for it.
func TestWhatWaitsGoesTogether(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.block = make(chan struct{})
		var told answers
		for _, p := range []int32{1, 3, 5, 7} {
			c.Write(key("g", p), share.WriteRequest{}, told.add)
			synctest.Wait()
		}
		c.Write(key("h", 9), share.WriteRequest{}, told.add)
		c.Forget(key("g", 11), told.add)
		synctest.Wait()
		if n := len(w.calls); n != 4 {
			t.Errorf("calls are %q", w.calls)
		}
		close(w.block)
		synctest.Wait()
		if len(told.all) != 6 || w.calls[len(w.calls)-1] != "2: write g 5 7" {
			t.Errorf("%d answers after %q", len(told.all), w.calls)
		}
	})
}

func TestCoordinatorsMove(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.refuse[here], w.refuse[2] = shard.ErrLoading, shard.ErrNotCoordinator
		var here0, there1 answers
		c.Write(key("g", 0), share.WriteRequest{}, here0.add)
		c.Begin(share.InitializeRequest{Key: key("g", 1)}, there1.add)
		pass(2 * time.Second)
		w.mu.Lock()
		w.leaders = [2]model.BrokerID{3, model.NoBroker}
		w.mu.Unlock()
		pass(2 * time.Second)
		if err := here0.one(t); err != nil {
			t.Errorf("broker 3 says %v", err)
		}
		w.mu.Lock()
		w.leaders[1] = here
		w.refuse[here] = nil
		w.mu.Unlock()
		pass(2 * time.Second)
		if err := there1.one(t); !errors.Is(err, share.ErrUnknownPartition) {
			t.Errorf("this broker, whose metadata lack the topic, says %v", err)
		}
		if n := len(w.calls); n < 10 || n > 60 {
			t.Errorf("%d calls within six seconds", n)
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.refuse[2], w.leaders[0] = shard.ErrTimedOut, model.NoBroker
		var reader, group answers
		c.Write(key("g", 1), share.WriteRequest{}, reader.add)
		c.Forget(key("g", 2), group.add)
		pass(patience + time.Second)
		for _, a := range []*answers{&reader, &group} {
			if err := a.one(t); !errors.Is(err, ErrUnavailable) {
				t.Errorf("told is %v", err)
			}
		}
		if !strings.Contains(w.log.String(), "share_partition") {
			t.Errorf("nobody was told: %s", w.log.String())
		}
	})
}

// TestUnknownOutcome: what is written twice is no harm, but a share partition that has begun must not begin anew when a call arrives late.
func TestUnknownOutcome(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.down[2] = ErrUnknown
		var begin, forget, write answers
		c.Begin(share.InitializeRequest{Key: key("g", 1)}, begin.add)
		c.Forget(key("g", 1), forget.add)
		c.Write(key("g", 1), share.WriteRequest{}, write.add)
		pass(time.Second)
		for _, a := range []*answers{&begin, &forget} {
			if err := a.one(t); !errors.Is(err, ErrUnavailable) {
				t.Errorf("told is %v", err)
			}
		}
		w.mu.Lock()
		w.down[2] = nil
		w.mu.Unlock()
		pass(2 * time.Second)
		if err := write.one(t); err != nil {
			t.Errorf("the write was told %v", err)
		}
		for _, op := range []string{"initialize", "delete"} {
			if n := strings.Count(strings.Join(w.calls, ";"), op); n != 1 {
				t.Errorf("%d calls to %s", n, op)
			}
		}
	})
}

func TestTopicIsCreatedWhenNeeded(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.exists = false
		var told answers
		for p := range int32(10) {
			c.Begin(share.InitializeRequest{Key: key("g", 2*p+1)}, told.add)
		}
		pass(time.Second)
		if w.created != 1 || len(told.all) != 10 || errors.Join(told.all...) != nil {
			t.Errorf("created %d times, told are %v", w.created, told.all)
		}
	})
}

func TestStopAnswersEverybody(t *testing.T) {
	in(t, func(t *testing.T, w *world, c *Client) {
		w.block, w.refuse[here] = make(chan struct{}), shard.ErrLoading
		var told answers
		for p := range int32(10) {
			c.Write(key("g", p), share.WriteRequest{}, told.add)
		}
		synctest.Wait()
		c.Stop()
		c.Write(key("g", 1), share.WriteRequest{}, told.add)
		c.Write(key("g", 2), share.WriteRequest{}, told.add)
		if len(told.all) != 12 {
			t.Fatalf("%d answers", len(told.all))
		}
		for _, err := range told.all {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("told is %v", err)
			}
		}
	})
}
