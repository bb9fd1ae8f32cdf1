package raftlink

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/memnet"
	"chronik/internal/quorum"
)

// FuzzFrames gives a link's session frames that nobody in his right mind would send. It must not panic, nor hold more than its bounds, and it must deliver
// only what followed a hello for this replica.
func FuzzFrames(f *testing.F) {
	m := message(pb.MsgSnap, 1)
	m.Snapshot = new(pb.Snapshot)
	data, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	hi := hello{from: replica(1).Directory, to: replica(2).Directory, purpose: forSnapshots, address: "a:1"}
	frame := func(kind byte, body []byte) []byte { return append([]byte{kind, byte(len(body))}, body...) }
	f.Add(bytes.Join([][]byte{frame(typeHello, hi.encode()), frame(typeBegin, encodeBegin(3, data)), frame(typePiece, []byte("abc"))}, nil))
	hi.purpose = forMessages
	f.Add(bytes.Join([][]byte{frame(typeHello, hi.encode()), frame(typeMessage, data)}, nil))
	f.Add(frame(typeCredit, encodeCredit(7)))
	f.Fuzz(func(t *testing.T, in []byte) {
		got := &sink{}
		tr := New(Options{Self: replica(2), Config: config(2), Log: quiet()})
		defer tr.Close()
		tr.Bind(got)
		s := tr.Open(loose(t)).(*receiving)
		greeted := false
		for len(in) >= 2 {
			n := min(int(in[1]), len(in)-2)
			greeted = greeted || in[0] == typeHello
			if s.Frame(in[0], in[2:2+n], nil) != nil {
				break
			}
			in = in[2+n:]
		}
		s.Closed(link.ErrClosed)
		if got.any && !greeted {
			t.Error("a message was delivered before the hello")
		}
	})
}

// loose is a link that nobody runs.
func loose(t *testing.T) *link.Link {
	near, far := memnet.Pipe(64 << 10)
	accepted := make(chan *link.Link, 1)
	go func() {
		l, err := link.Accept(context.Background(), far, config(2))
		if err != nil {
			t.Error(err)
		}
		accepted <- l
	}()
	d, err := link.Dial(context.Background(), near, config(1), link.Raft, 2)
	if err != nil {
		t.Fatal(err)
	}
	a := <-accepted
	t.Cleanup(func() { d.Close(nil); a.Close(nil) })
	return a
}

type sink struct{ any bool }

func (s *sink) Receive(quorum.Replica, *pb.Message) { s.any = true }

func (s *sink) Unreachable(quorum.Replica) {}

func (s *sink) ReceiveSnapshot(_ context.Context, _ quorum.Replica, _ *pb.Message, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// FuzzOutgoing gives the sender of a snapshot answers of any kind.
func FuzzOutgoing(f *testing.F) {
	f.Add(byte(typeCredit), encodeCredit(1))
	f.Add(byte(typeReceived), []byte("why not"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		s := &outgoing{link: loose(t), credit: window / 2}
		s.stall = time.AfterFunc(time.Hour, func() {})
		defer s.stall.Stop()
		_ = s.Frame(kind, body, nil)
		if s.credit < 0 || s.credit > 2*window {
			t.Errorf("credit %d", s.credit)
		}
	})
}
