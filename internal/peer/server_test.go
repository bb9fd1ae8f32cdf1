package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
	"chronik/internal/quorum"
)

// TestSlowHandlersBlockNobody: a peer has a bounded number of calls, clients' requests hold up neither heartbeats nor another peer, and what is
// refused is known to have changed nothing.
func TestSlowHandlersBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		free := make(chan struct{})
		w.brokers[2].set(fake{forward: func(ctx context.Context, from Caller, _ ClientRequest) ([]byte, error) {
			if from.Node == 1 {
				<-free
			}
			return []byte("at last"), nil
		}})
		results := make(chan error, maxCalls)
		for range maxCalls {
			go func() {
				_, err := w.brokers[1].client.Forward(within(t, time.Minute), ClientRequest{})
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := w.brokers[1].client.Forward(within(t, time.Second), ClientRequest{}); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
			t.Errorf("one more than there may be: %v", err)
		}
		if _, err := w.brokers[1].client.Heartbeat(within(t, 10*time.Millisecond), controller.Heartbeat{}); err != nil {
			t.Errorf("a heartbeat beside %d slow calls: %v", maxCalls, err)
		}
		if _, err := w.brokers[3].client.Forward(within(t, 10*time.Millisecond), ClientRequest{}); err != nil {
			t.Errorf("another peer: %v", err)
		}
		close(free)
		for range maxCalls {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if _, err := w.brokers[1].client.Forward(within(t, time.Second), ClientRequest{}); err != nil {
			t.Errorf("when there is room again: %v", err)
		}
	})
}

// TestLargeRequests: the largest request of a client arrives, a larger one is refused before it leaves, and two of the largest are not
// taken at a time.
func TestLargeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		begun, free := make(chan int, 2), make(chan struct{})
		w.brokers[2].set(fake{forward: func(_ context.Context, _ Caller, q ClientRequest) ([]byte, error) {
			begun <- len(q.Body)
			<-free
			return nil, nil
		}})
		body := make([]byte, 100<<20)
		c := w.brokers[1].client
		first := make(chan error, 1)
		go func() {
			_, err := c.Forward(within(t, time.Minute), ClientRequest{Body: body})
			first <- err
		}()
		if n := <-begun; n != len(body) {
			t.Fatalf("%d bytes arrived", n)
		}
		if _, err := w.brokers[1].pool.call(within(t, time.Minute), 2, Forward, body); !errors.Is(err, ErrBusy) {
			t.Errorf("a second one beside it: %v", err)
		}
		close(free)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if _, err := c.Forward(within(t, time.Second), ClientRequest{Body: make([]byte, 101<<20)}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a larger one: %v", err)
		}
		w.brokers[2].set(fake{forward: func(context.Context, Caller, ClientRequest) ([]byte, error) { return make([]byte, 102<<20), nil }})
		if _, err := c.Forward(within(t, time.Minute), ClientRequest{}); !errors.Is(err, ErrUnknown) {
			t.Errorf("an answer that is too large for the link: %v", err)
		}
	})
}

// TestVersions: brokers of neighbouring releases work together in the older one's version, and others do not (E5).
func TestVersions(t *testing.T) {
	skewed := func(id model.BrokerID, oldest, newest link.Version) link.Config {
		cfg := config(id)
		cfg.Oldest, cfg.Newest = oldest, newest
		return cfg
	}
	const later Method = 99
	methods[later] = rules{name: "Later", since: 3, repeatable: true, maxBody: smallBody}
	t.Cleanup(func() { delete(methods, later) })
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.lead(2)
		w.start(1, skewed(1, 2, 3))
		w.start(2, skewed(2, 1, 2))
		w.start(3, skewed(3, 1, 1))
		t.Cleanup(func() {
			for _, b := range w.brokers {
				b.close()
			}
		})
		w.brokers[2].set(fake{register: func(_ context.Context, from Caller, _ controller.Registration) (model.BrokerEpoch, error) {
			return model.BrokerEpoch(from.Version), nil
		}})
		for from, want := range map[model.BrokerID]model.BrokerEpoch{1: 2, 3: 1} {
			if v, err := w.brokers[from].client.Register(within(t, time.Second), controller.Registration{}); v != want || err != nil {
				t.Errorf("node %d and node 2 speak version %d: %v", from, v, err)
			}
		}
		_, err := w.brokers[1].pool.call(within(t, time.Second), 2, later, nil)
		if !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrUnknown) {
			t.Errorf("a method of version 3 in version 2: %v", err)
		}
		_, err = w.brokers[1].pool.call(within(t, time.Second), 3, Heartbeat, nil)
		var refused *link.HandshakeError
		if !errors.As(err, &refused) || refused.Code != link.NoCommonVersion {
			t.Errorf("two releases apart: %v", err)
		}
	})
}

// TestUnknownIsRefused: methods and fields that a broker does not know, and bytes that are no request. The link lives on.
func TestUnknownIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		field := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
		nested, err := proto.Marshal(&peerpb.RegisterRequest{IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16), Endpoints: []*peerpb.Endpoint{{}}})
		if err != nil {
			t.Fatal(err)
		}
		inner := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), field)
		for name, c := range map[string]struct {
			method Method
			body   []byte
			want   error
		}{
			"method":        {77, nil, ErrUnsupported},
			"field":         {Heartbeat, field, ErrUnsupported},
			"nested field":  {Register, append(nested, inner...), ErrUnsupported},
			"garbage":       {AlterPartitions, []byte{0xff, 0xff}, ErrInvalid},
			"short ID":      {Register, []byte{0x0a, 1, 7}, ErrInvalid},
			"oversized":     {Heartbeat, make([]byte, smallBody+1), ErrInvalid},
			"API key":       {Forward, protowire.AppendVarint([]byte{8}, 1<<20), ErrInvalid},
			"a probe's own": {Probe, field, ErrUnsupported},
		} {
			_, err := w.brokers[1].pool.call(within(t, time.Second), 2, c.method, c.body)
			if !errors.Is(err, c.want) || errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if heard := w.brokers[2].heard(); len(heard) > 0 {
			t.Errorf("handlers were asked: %v", heard)
		}
		if _, err := w.brokers[1].client.Heartbeat(within(t, time.Second), controller.Heartbeat{}); err != nil {
			t.Error(err)
		}
	})
}

// TestAsk: before there is a cluster a broker can ask what is there, and nothing else (M5).
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.lead(2)
		has := Possession{Node: 2, Directory: image.UUID{5}, ClusterID: "cluster", Member: true,
			Voters: []Member{{quorum.Replica{Node: 2, Directory: image.UUID{5}}, "n2:9291"}}}
		w.brokers[2].set(fake{possess: has})
		stranger := config(9)
		stranger.ClusterID = ""
		ask := AskOptions{Config: stranger, Dial: w.dial(9), Address: address(2), Node: model.NoBroker}
		got, err := Ask(within(t, time.Second), ask)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(has) || got.Empty() {
			t.Errorf("%+v, %v", got, err)
		}
		pool := NewPool(PoolOptions{Config: stranger, Dial: w.dial(9), Addresses: func(id model.BrokerID) []string { return []string{address(id)} }})
		defer pool.Close()
		for m := range methods {
			if _, err := pool.call(within(t, time.Second), 2, m, nil); m != Probe && !errors.Is(err, ErrInvalid) {
				t.Errorf("%v for a stranger: %v", m, err)
			}
		}
		w.brokers[2].set(fake{possess: Possession{Node: 2}}) // says that it has nothing, on a link that says otherwise
		if got, err := Ask(within(t, time.Second), ask); !errors.Is(err, ErrUnknown) || got.Empty() != (got.ClusterID == "") {
			t.Errorf("an answer that does not fit: %+v, %v", got, err)
		}
		other := ask
		other.Config.ClusterID = "another"
		var refused *link.HandshakeError
		if _, err := Ask(within(t, time.Second), other); !errors.As(err, &refused) || refused.Code != link.OtherCluster {
			t.Errorf("another cluster: %v", err)
		}
		other.Address = "n7:1"
		if _, err := Ask(within(t, time.Second), other); err == nil {
			t.Error("nobody is there, and that is no answer")
		}
	})
}

// session is the other end of a control link that sends what a test wants.
type session struct {
	answers chan []byte
	closed  chan error
}

func (s *session) Frame(_ byte, body []byte, _ *mem.Buf) error {
	s.answers <- bytes.Clone(body)
	return nil
}
func (s *session) Drained()              {}
func (s *session) Fill(*link.Batch) bool { return false }
func (s *session) Closed(reason error)   { s.closed <- reason }

// raw makes a link to node 2 by hand.
func raw(t *testing.T, w *world) (*link.Link, *session) {
	t.Helper()
	ctx := within(t, time.Second)
	conn, err := w.dial(9)(ctx, address(2))
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Dial(ctx, conn, config(9), link.Control, 2)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{answers: make(chan []byte, 100), closed: make(chan error, 1)}
	go l.Run(s)
	t.Cleanup(func() { l.Close(nil) })
	return l, s
}

// TestBadFrames: a peer that does not keep to the protocol loses its link, and only its own (E2).
func TestBadFrames(t *testing.T) {
	request := func(number uint64) []byte { return requestHead{number, Forward, time.Second}.append(nil) }
	for name, frames := range map[string][][2]any{
		"a type that is none":     {{link.FirstType + 9, []byte{}}},
		"a short request":         {{typeRequest, []byte{1, 2, 3}}},
		"a short cancellation":    {{typeCancel, []byte{1}}},
		"an answer to the server": {{typeAnswer, make([]byte, 20)}},
		"a number used twice":     {{typeRequest, request(1)}, {typeRequest, request(1)}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.lead(2)
			w.brokers[2].set(fake{forward: func(ctx context.Context, _ Caller, _ ClientRequest) ([]byte, error) {
				<-ctx.Done()
				return nil, nil
			}})
			l, s := raw(t, w)
			for _, f := range frames {
				if err := l.TrySend(f[0].(byte), f[1].([]byte), nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			var bye *link.GoodbyeError
			if err := <-s.closed; !errors.As(err, &bye) {
				t.Errorf("%s: the link ended with %v", name, err)
			}
			if _, err := w.brokers[1].client.Heartbeat(within(t, time.Second), controller.Heartbeat{}); err != nil {
				t.Errorf("%s: another peer's call: %v", name, err)
			}
			synctest.Wait() // until the server has noticed, too
			w.brokers[2].server.mu.Lock()
			defer w.brokers[2].server.mu.Unlock()
			if n := len(w.brokers[2].server.peers); n != 1 {
				t.Errorf("%s: %d peers are counted, one has a link", name, n)
			}
		})
	}
}

// TestTooManyLinks: one node has only so many, and a cancellation of nothing is none of a fault.
func TestTooManyLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.lead(2)
		for range maxLinks {
			l, s := raw(t, w)
			if err := l.TrySend(typeCancel, appendCancel(nil, 7), nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := l.TrySend(typeRequest, requestHead{1, Heartbeat, time.Second}.append(nil), nil, nil); err != nil {
				t.Fatal(err)
			}
			if _, status, _, err := parseAnswer(<-s.answers); status != statusDone || err != nil {
				t.Fatalf("status %d, %v", status, err)
			}
		}
		_, s := raw(t, w)
		if err := <-s.closed; err == nil {
			t.Error("one link more than there may be")
		}
	})
}

// TestBadAnswers: an answer that cannot be read leaves the outcome unknown.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]func(number uint64) []byte{
		"garbage in it":    func(n uint64) []byte { return append(appendAnswerHead(nil, n, statusDone), 0xff) },
		"garbage failure":  func(n uint64) []byte { return append(appendAnswerHead(nil, n, statusFailed), 0xff) },
		"no known status":  func(n uint64) []byte { return appendAnswerHead(nil, n, 7) },
		"another's number": func(n uint64) []byte { return appendAnswerHead(nil, n+1, statusDone) },
		"short":            func(n uint64) []byte { return []byte{1} },
		"too few outcomes": func(n uint64) []byte { return appendAnswerHead(nil, n, statusDone) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			listener, err := w.net.Listen(address(2))
			if err != nil {
				t.Fatal(err)
			}
			var at *link.Link
			liar := &liar{answer: answer, link: func() *link.Link { return at }}
			links := &link.Server{Config: func() link.Config { return config(2) }, Open: func(l *link.Link) link.Session { at = l; return liar }}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- links.Serve(ctx, listener) }()
			w.brokers[1].client.opts.Candidates = func() []model.BrokerID { return []model.BrokerID{2} }
			_, err = w.brokers[1].client.AlterPartitions(within(t, time.Second), 1, make([]controller.ISRChange, 1))
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// liar answers whatever it likes.
type liar struct {
	session
	link   func() *link.Link
	answer func(uint64) []byte
}

func (l *liar) Frame(_ byte, body []byte, _ *mem.Buf) error {
	head, _, err := parseRequest(body)
	if err != nil {
		return err
	}
	return l.link().TrySend(typeAnswer, l.answer(head.number), nil, nil)
}

func (l *liar) Closed(error) {}

// TestCloseWaits: closing cancels what is being answered, leaves nothing behind, and nothing can be called after it.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		begun, ended := make(chan bool, 1), make(chan error, 1)
		w.brokers[2].set(fake{forward: func(ctx context.Context, _ Caller, _ ClientRequest) ([]byte, error) {
			begun <- true
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, context.Cause(ctx)
		}})
		failed := make(chan error, 1)
		go func() {
			_, err := w.brokers[1].client.Forward(within(t, time.Minute), ClientRequest{})
			failed <- err
		}()
		<-begun
		w.brokers[2].server.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("the handler was stopped by %v", err)
		}
		if err := <-failed; !errors.Is(err, ErrUnknown) {
			t.Errorf("the call was answered with %v", err)
		}
		if _, err := w.brokers[2].client.Forward(within(t, time.Second), ClientRequest{}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a call of its own: %v", err)
		}
		w.brokers[1].pool.Close()
		if _, err := w.brokers[1].client.Forward(within(t, time.Second), ClientRequest{}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrClosed) {
			t.Errorf("over a pool that is closed: %v", err)
		}
	})
}

// TestIdleLinksGo: a link that nobody uses is given up, and made again when it is needed.
func TestIdleLinksGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		p := w.brokers[1].pool
		count := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.conns)
		}
		find := func(id model.BrokerID) {
			t.Helper()
			if _, err := p.FindController(within(t, time.Second), id); err != nil {
				t.Fatal(err)
			}
		}
		find(2)
		find(3)
		for range 3 {
			time.Sleep(idleTime)
			find(3)
		}
		if n := count(); n != 1 {
			t.Errorf("%d links, 1 is in use", n)
		}
		find(2)
		p.Forget(2)
		p.Forget(2)
		if n := count(); n != 1 {
			t.Errorf("%d links, one was forgotten", n)
		}
	})
}
