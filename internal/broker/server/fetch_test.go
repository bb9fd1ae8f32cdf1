package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/wire"
)

// region is a run of equal bytes. It counts its releases, and may lie about its length or fail.
type region struct {
	n, short int
	err      error
	released *atomic.Int32
}

func (r region) Len() int { return r.n }
func (r region) Release() { r.released.Add(1) }
func (r region) WriteTo(w io.Writer) (int64, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := w.Write(bytes.Repeat([]byte{'r'}, r.n-r.short))
	return int64(n), err
}

func fetchReply(version int16, regions ...wire.Region) *wire.FetchResponse {
	resp := &wire.FetchResponse{Version: version, Topics: []wire.FetchTopic{{Name: "t"}}}
	for i, r := range regions {
		resp.Topics[0].Partitions = append(resp.Topics[0].Partitions, wire.FetchPartition{Partition: int32(i), Records: r})
	}
	return resp
}

// TestFetchRegions: small regions travel with the rest, large ones by themselves; kmsg must read the whole, and every region is
// released once.
func TestFetchRegions(t *testing.T) {
	sizes := []int{1, copyBelow - 1, copyBelow, 300 << 10, 0, 5, 2 << 20}
	var released atomic.Int32
	h := start(t, setup{tcp: true, handler: HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
		var regions []wire.Region
		for _, n := range sizes {
			regions = append(regions, region{n: n, released: &released})
		}
		s.SendFetch(fetchReply(req.Version, regions...))
	})})
	c := h.client()
	const version, rounds = 11, 3
	for i := range int32(rounds) {
		c.send(frame(wire.KeyFetch, version, i, nil))
	}
	for i := range int32(rounds) {
		id, body, err := c.receive()
		if err != nil || id != i {
			t.Fatalf("got the reply %d, %v; want %d", id, err, i)
		}
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = version
		if err := resp.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		for j, p := range resp.Topics[0].Partitions {
			if !bytes.Equal(p.RecordBatches, bytes.Repeat([]byte{'r'}, sizes[j])) {
				t.Errorf("partition %d: %d bytes of records, want %d", j, len(p.RecordBatches), sizes[j])
			}
		}
	}
	_ = c.Close()
	h.stop()
	if n := released.Load(); n != int32(rounds*len(sizes)) {
		t.Errorf("%d regions were released, want %d", n, rounds*len(sizes))
	}
}

// TestFetchRegionsThatFail end their connection, and are released all the same; those behind them too.
func TestFetchRegionsThatFail(t *testing.T) {
	for name, bad := range map[string]region{
		"error, small": {n: 100, err: errors.New("bad sector")},
		"error, large": {n: 100 << 10, err: errors.New("bad sector")},
		"short, small": {n: 100, short: 1},
		"short, large": {n: 100 << 10, short: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var released atomic.Int32
			bad.released = &released
			good := region{n: 10, released: &released}
			h := start(t, setup{handler: HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
				s.SendFetch(fetchReply(req.Version, good, bad, good))
			})})
			c := h.client()
			c.send(append(frame(wire.KeyFetch, 11, 1, nil), frame(wire.KeyFetch, 11, 2, nil)...))
			c.expectEnd()
			h.stop()
			if n := released.Load(); n%3 != 0 || n == 0 {
				t.Errorf("%d regions were released, want a multiple of 3", n)
			}
		})
	}
}

// TestFetchRegionsOfLostConnections are released.
func TestFetchRegionsOfLostConnections(t *testing.T) {
	var released atomic.Int32
	arrived, gone := make(chan struct{}), make(chan struct{})
	h := start(t, setup{handler: HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
		close(arrived)
		<-gone
		s.SendFetch(fetchReply(req.Version, region{n: 1 << 20, released: &released}, region{n: 1, released: &released}))
	})})
	c := h.client()
	c.send(frame(wire.KeyFetch, 11, 1, nil))
	<-arrived
	_ = c.Close()
	close(gone)
	h.stop()
	if n := released.Load(); n != 2 {
		t.Errorf("%d regions were released, want 2", n)
	}
}
