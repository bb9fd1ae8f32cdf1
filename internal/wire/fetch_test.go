package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"chronik/internal/model"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// memRegion is a region in memory that counts its releases. short makes it write that many bytes less.
type memRegion struct {
	b        []byte
	short    int
	released *int
}

func (r memRegion) Len() int { return len(r.b) }
func (r memRegion) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.b[:len(r.b)-r.short])
	return int64(n), err
}
func (r memRegion) Release() {
	if r.released != nil {
		*r.released++
	}
}

type sizedRegion struct {
	memRegion
	size int
}

func (r sizedRegion) Len() int { return r.size }

func drawEpochEnd(t *rapid.T, what string) *EpochEnd {
	if rapid.Bool().Draw(t, what+" is absent") {
		return nil
	}
	return &EpochEnd{
		Epoch:     model.LeaderEpoch(rapid.Int32Range(0, math.MaxInt32).Draw(t, what)),
		EndOffset: model.Offset(rapid.Int64Range(0, math.MaxInt64).Draw(t, what)),
	}
}

func drawPartition(t *rapid.T) FetchPartition {
	p := FetchPartition{
		Partition:        rapid.Int32().Draw(t, "partition"),
		ErrorCode:        rapid.Int16().Draw(t, "error"),
		HighWatermark:    model.Offset(rapid.Int64().Draw(t, "high watermark")),
		LastStableOffset: model.Offset(rapid.Int64().Draw(t, "last stable")),
		LogStartOffset:   model.Offset(rapid.Int64().Draw(t, "log start")),
		DivergingEpoch:   drawEpochEnd(t, "diverging"),
		SnapshotID:       drawEpochEnd(t, "snapshot"),

		PreferredReadReplica: model.BrokerID(rapid.Int32().Draw(t, "preferred")),
	}
	if rapid.Bool().Draw(t, "read_committed") {
		p.Aborted = []AbortedTxn{}
		for range rapid.IntRange(0, 3).Draw(t, "aborted") {
			p.Aborted = append(p.Aborted, AbortedTxn{Producer: 5, FirstOffset: model.Offset(rapid.Int64().Draw(t, "first"))})
		}
	}
	if rapid.Bool().Draw(t, "moved") {
		p.CurrentLeader = &CurrentLeader{ID: model.BrokerID(rapid.Int32Range(0, 9).Draw(t, "leader")), Epoch: 7}
	}
	if rapid.Bool().Draw(t, "records") {
		p.Records = memRegion{b: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")}
	}
	return p
}

func drawFetchResponse(t *rapid.T, version int16) *FetchResponse {
	r := &FetchResponse{Version: version, ThrottleMs: rapid.Int32().Draw(t, "throttle")}
	if version >= fetchSessions {
		r.ErrorCode = rapid.Int16().Draw(t, "error")
		r.SessionID = rapid.Int32().Draw(t, "session")
	}
	for range rapid.IntRange(0, 3).Draw(t, "topics") {
		topic := FetchTopic{Name: rapid.StringN(0, 200, 249).Draw(t, "name")}
		copy(topic.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		for range rapid.IntRange(0, 3).Draw(t, "partitions") {
			topic.Partitions = append(topic.Partitions, drawPartition(t))
		}
		r.Topics = append(r.Topics, topic)
	}
	for range rapid.IntRange(0, 3).Draw(t, "endpoints") {
		n := NodeEndpoint{ID: 1, Host: rapid.StringN(0, 150, 200).Draw(t, "host"), Port: rapid.Int32().Draw(t, "port")}
		if rapid.Bool().Draw(t, "has a rack") {
			n.Rack = kmsg.StringPtr(rapid.StringN(0, 150, 200).Draw(t, "rack"))
		}
		r.Endpoints = append(r.Endpoints, n)
	}
	return r
}

// asKmsg is the same response in kmsg's types.
func asKmsg(r *FetchResponse) *kmsg.FetchResponse {
	out := kmsg.NewPtrFetchResponse()
	out.Version, out.ThrottleMillis, out.ErrorCode, out.SessionID = r.Version, r.ThrottleMs, r.ErrorCode, r.SessionID
	for _, t := range r.Topics {
		topic := kmsg.NewFetchResponseTopic()
		if r.Version >= fetchTopicIDs {
			topic.TopicID = t.ID
		} else {
			topic.Topic = t.Name
		}
		for i := range t.Partitions {
			topic.Partitions = append(topic.Partitions, partitionAsKmsg(r.Version, &t.Partitions[i]))
		}
		out.Topics = append(out.Topics, topic)
	}
	for _, n := range r.Endpoints {
		if r.Version < fetchEndpoints {
			break
		}
		b := kmsg.NewFetchResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), n.Host, n.Port, n.Rack
		out.Brokers = append(out.Brokers, b)
	}
	return out
}

func partitionAsKmsg(version int16, p *FetchPartition) kmsg.FetchResponseTopicPartition {
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.ErrorCode = p.Partition, p.ErrorCode
	out.HighWatermark, out.LastStableOffset = int64(p.HighWatermark), int64(p.LastStableOffset)
	if version >= fetchLogStart {
		out.LogStartOffset = int64(p.LogStartOffset)
	}
	if version >= fetchPreferred {
		out.PreferredReadReplica = int32(p.PreferredReadReplica)
	}
	if p.Aborted != nil {
		out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	for _, a := range p.Aborted {
		k := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		k.ProducerID, k.FirstOffset = int64(a.Producer), int64(a.FirstOffset)
		out.AbortedTransactions = append(out.AbortedTransactions, k)
	}
	out.RecordBatches = []byte{}
	if p.Records != nil {
		out.RecordBatches = append(out.RecordBatches, p.Records.(memRegion).b...)
	}
	if version < fetchFlexible {
		return out
	}
	if d := p.DivergingEpoch; d != nil {
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = int32(d.Epoch), int64(d.EndOffset)
	}
	if l := p.CurrentLeader; l != nil {
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = int32(l.ID), int32(l.Epoch)
	}
	if s := p.SnapshotID; s != nil {
		out.SnapshotID.Epoch, out.SnapshotID.EndOffset = int32(s.Epoch), int64(s.EndOffset)
	}
	return out
}

// In every version the frame is, byte for byte, what kmsg encodes, and kmsg reads from it what was put in.
func TestFetchResponseEqualsKmsg(t *testing.T) {
	top := kmsg.NewPtrFetchResponse().MaxVersion()
	for version := int16(fetchMinVersion); version <= top; version++ {
		var f Frame
		rapid.Check(t, func(t *rapid.T) {
			r := drawFetchResponse(t, version)
			want := asKmsg(r)
			if err := f.Encode(-5, r); err != nil {
				t.Fatal(err)
			}
			defer f.Release()
			var got bytes.Buffer
			n, err := f.WriteTo(&got)
			if err != nil || n != f.Len() || int(n) != got.Len() {
				t.Fatalf("wrote %d of %d bytes: %v", n, f.Len(), err)
			}
			if frame := AppendResponse(nil, -5, want); !bytes.Equal(got.Bytes(), frame) {
				t.Fatalf("version %d:\n%x, want\n%x", version, got.Bytes(), frame)
			}
			header := sizePrefix + 4
			if want.IsFlexible() {
				header++
			}
			read := kmsg.NewPtrFetchResponse()
			read.Version = version
			if err := read.ReadFrom(got.Bytes()[header:]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read, cmpopts.EquateEmpty(), cmp.AllowUnexported(kmsg.Tags{})); diff != "" {
				t.Fatalf("version %d (-want +got):\n%s", version, diff)
			}
		})
	}
}

func TestFrameReleasesEveryRegionOnce(t *testing.T) {
	released := 0
	region := func(n int) Region { return memRegion{b: make([]byte, n), released: &released} }
	resp := &FetchResponse{Version: 13, Topics: []FetchTopic{{Partitions: []FetchPartition{
		{Records: region(5)}, {}, {Records: region(0)}, {Records: region(7)},
	}}}}
	var f Frame
	if err := f.Encode(1, resp); err != nil {
		t.Fatal(err)
	}
	var segments, bytesIn int
	for s := range f.Segments() {
		segments++
		bytesIn += len(s.Bytes)
		if s.Region != nil {
			bytesIn += s.Region.Len()
		}
	}
	if segments != 3 || int64(bytesIn) != f.Len() {
		t.Errorf("%d segments with %d bytes, the frame has %d", segments, bytesIn, f.Len())
	}
	f.Release()
	f.Release()
	if released != 3 || f.Len() != 0 {
		t.Errorf("%d of 3 regions released, length %d", released, f.Len())
	}
}

func TestFrameNoticesAShortRegion(t *testing.T) {
	resp := &FetchResponse{Version: 4, Topics: []FetchTopic{{Partitions: []FetchPartition{{Records: memRegion{b: make([]byte, 9), short: 1}}}}}}
	var f Frame
	if err := f.Encode(1, resp); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteTo(io.Discard); !errors.Is(err, ErrRegion) {
		t.Errorf("%v, want ErrRegion", err)
	}
}

func TestFrameRefusesMoreThanTheSizeFieldHolds(t *testing.T) {
	released := 0
	half := func() FetchPartition {
		return FetchPartition{Records: sizedRegion{memRegion{released: &released}, 1 << 30}}
	}
	var f Frame
	resp := &FetchResponse{Version: 13, Topics: []FetchTopic{{Partitions: []FetchPartition{half(), half()}}}}
	if err := f.Encode(1, resp); !errors.Is(err, ErrResponseTooLarge) {
		t.Errorf("2 GiB: %v, want ErrResponseTooLarge", err)
	}
	if f.Release(); released != 2 {
		t.Errorf("%d of 2 regions released", released)
	}
}

func BenchmarkEncodeFetch(b *testing.B) {
	records := Region(memRegion{b: make([]byte, 100<<10)})
	resp := &FetchResponse{Version: 17, Topics: []FetchTopic{{Partitions: make([]FetchPartition, 10)}}}
	for i := range resp.Topics[0].Partitions {
		resp.Topics[0].Partitions[i].Records = records
	}
	var f Frame
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Encode(1, resp); err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}
