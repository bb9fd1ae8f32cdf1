package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/wire"
)

// testTable is what the tests' handlers handle.
func testTable(t testing.TB) *wire.Table {
	t.Helper()
	table, err := wire.NewTable(wire.MustFull(wire.KeyProduce), wire.MustFull(wire.KeyFetch), wire.MustFull(3), wire.MustFull(wire.KeyOffsetCommit), wire.MustFull(wire.KeyApiVersions))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const (
	keyMetadata   = 3
	produceV      = 9 // versions that tests use
	metadataV     = 9
	commitV       = 7
	testBudget    = 64 << 20
	requestHeader = 10 // of a request without client ID, plus its tagged fields where flexible
)

// harness is a server on an in-memory network, or on TCP.
type harness struct {
	*Server
	t      testing.TB
	net    *memnet.Network
	addr   string
	dial   func() (net.Conn, error)
	budget *mem.Budget
	served chan error
}

type setup struct {
	limits  Limits
	budget  int64
	log     io.Writer
	tcp     bool
	handler Handler
}

func start(t testing.TB, s setup) *harness {
	t.Helper()
	if s.budget == 0 {
		s.budget = testBudget
	}
	if s.log == nil {
		s.log = io.Discard
	}
	h := &harness{t: t, budget: mem.NewBudget(s.budget), served: make(chan error, 1), net: memnet.New()}
	h.Server = New(Options{
		Handler: s.handler,
		Table:   testTable(t),
		Pool:    mem.NewPool(h.budget),
		Limits:  s.limits,
		Log:     slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	var l net.Listener
	var err error
	if s.tcp {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	} else {
		l, err = h.net.Listen("10.0.0.1:9092")
	}
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.dial = func() (net.Conn, error) {
		if s.tcp {
			return net.Dial("tcp", h.addr)
		}
		return h.net.Dial(context.Background(), "10.0.0.2", h.addr)
	}
	go func() { h.served <- h.Serve("test", l) }()
	t.Cleanup(func() {
		if t.Failed() { // end what keeps a bubble of synctest from ending, and hides why the test failed
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = h.Shutdown(ctx)
		}
	})
	return h
}

// stop shuts down, and checks that nothing is left behind.
func (h *harness) stop() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		h.t.Errorf("Shutdown: %v", err)
	}
	if err := <-h.served; !errors.Is(err, ErrServerClosed) {
		h.t.Errorf("Serve returned %v", err)
	}
	if n := h.budget.InUse(); n != 0 {
		h.t.Errorf("%d bytes of the budget are still in use", n)
	}
	for name, c := range map[string]*Counter{"open connections": &h.metrics.ConnectionsOpen, "requests in flight": &h.metrics.InFlight} {
		if n := c.Load(); n != 0 {
			h.t.Errorf("%d %s are left", n, name)
		}
	}
}

// client speaks raw frames.
type client struct {
	net.Conn
	t testing.TB
}

func (h *harness) client() *client {
	h.t.Helper()
	nc, err := h.dial()
	if err != nil {
		h.t.Fatal(err)
	}
	return &client{Conn: nc, t: h.t}
}

// frame makes a request with a body of any bytes; nobody here decodes it.
func frame(key, version int16, correlationID int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlationID))
	b = append(b, 0, 4, 't', 'e', 's', 't') // client ID
	if req := kmsg.RequestForKey(key); req != nil {
		if req.SetVersion(version); req.IsFlexible() {
			b = append(b, 0)
		}
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func produceFrame(correlationID int32, body []byte) []byte {
	return frame(wire.KeyProduce, produceV, correlationID, body)
}

func commitFrame(correlationID int32) []byte {
	return frame(wire.KeyOffsetCommit, commitV, correlationID, nil)
}

func metadataFrame(correlationID int32) []byte {
	return frame(keyMetadata, metadataV, correlationID, nil)
}

func (c *client) send(frames ...[]byte) {
	c.t.Helper()
	for _, f := range frames {
		if _, err := c.Write(f); err != nil {
			c.t.Errorf("sending: %v", err)
		}
	}
}

// receive reads one reply, and returns its correlation ID and what follows it.
func (c *client) receive() (int32, []byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// expect reads replies with these correlation IDs, in this order.
func (c *client) expect(ids ...int32) {
	c.t.Helper()
	for _, want := range ids {
		if got, _, err := c.receive(); err != nil || got != want {
			c.t.Fatalf("got the reply %d, %v; want %d", got, err, want)
		}
	}
}

// expectEnd reads the end of the connection, whether in good order or by a reset.
func (c *client) expectEnd() {
	c.t.Helper()
	if id, _, err := c.receive(); err == nil {
		c.t.Fatalf("got the reply %d, want the end of the connection", id)
	}
	_ = c.Close()
}

func produceReply(req *Request) kmsg.Response {
	r := kmsg.NewPtrProduceResponse()
	r.Version = req.Version
	return r
}

func metadataReply(req *Request) kmsg.Response {
	r := kmsg.NewPtrMetadataResponse()
	r.Version = req.Version
	return r
}

// answer is what each request gets from a handler that has nothing better to do.
func answer(_ context.Context, req *Request, reply *Slot) {
	switch req.Key {
	case wire.KeyProduce:
		reply.Send(produceReply(req))
	case wire.KeyFetch:
		reply.SendFetch(&wire.FetchResponse{Version: req.Version})
	case wire.KeyApiVersions:
		r := kmsg.NewPtrApiVersionsResponse()
		r.Version = req.Version
		reply.Send(r)
	default:
		reply.Send(metadataReply(req))
	}
}

// replyFrame is the reply that answer gives to Produce.
func replyFrame() []byte {
	return wire.AppendResponse(nil, 1, produceReply(&Request{Version: produceV}))
}

func memPool() *mem.Pool { return mem.NewPool(mem.NewBudget(testBudget)) }

// eventually waits for what happens in another goroutine, over real sockets, where no bubble tells when all is done.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within 20 seconds: %s", what)
		}
	}
}
