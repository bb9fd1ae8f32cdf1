package link

import (
	"net"
	"sync/atomic"
	"testing"

	"chronik/internal/mem"
)

// BenchmarkRoundTrip: a frame of 256 bytes goes and one of 30 comes back, 64 under way, over TCP on loopback.
func BenchmarkRoundTrip(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	d, a := linked(b, near, far, Replication)
	const underWay = 64
	var left, toAnswer atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	back := 0
	request, answer := make([]byte, 256), make([]byte, 30)
	credit := atomic.Int64{}
	credit.Store(underWay)
	one := &session{closed: make(chan error, 1), frame: func(byte, []byte, *mem.Buf) error {
		credit.Add(1)
		if back++; back == b.N {
			close(done)
		}
		return nil
	}, fill: func(out *Batch) bool {
		for !out.Full() && credit.Load() > 0 && left.Load() > 0 {
			credit.Add(-1)
			left.Add(-1)
			put(out, request)
		}
		return false
	}}
	two := &session{closed: make(chan error, 1), frame: func(byte, []byte, *mem.Buf) error {
		toAnswer.Add(1)
		return nil
	}, fill: func(out *Batch) bool {
		for toAnswer.Load() > 0 {
			toAnswer.Add(-1)
			put(out, answer)
		}
		return false
	}}
	b.ReportAllocs()
	b.ResetTimer()
	go d.Run(waker{one, d})
	go a.Run(waker{two, a})
	d.Wake()
	<-done
	b.StopTimer()
	d.Close(nil)
	<-one.closed
	<-two.closed
}

type waker struct {
	*session
	link *Link
}

func (w waker) Drained() { w.link.Wake() }

func put(out *Batch, body []byte) {
	out.Begin(FirstType)
	out.Append(body)
	_ = out.End()
}
