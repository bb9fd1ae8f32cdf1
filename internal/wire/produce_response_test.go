package wire

import (
	"bytes"
	"testing"

	"chronik/internal/model"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func drawText(t *rapid.T, what string) *string {
	if rapid.Bool().Draw(t, what+" is null") {
		return nil
	}
	return kmsg.StringPtr(rapid.StringN(0, 150, 200).Draw(t, what))
}

// In every version the frame is, byte for byte, what kmsg encodes.
func TestProduceResponseEqualsKmsg(t *testing.T) {
	for version := int16(0); version <= produceMaxVersion; version++ {
		rapid.Check(t, func(t *rapid.T) {
			r := &ProduceResponse{Version: version, ThrottleMs: rapid.Int32().Draw(t, "throttle")}
			want := kmsg.NewPtrProduceResponse()
			want.Version, want.ThrottleMillis = version, r.ThrottleMs
			for range rapid.IntRange(0, 3).Draw(t, "topics") {
				topic := ProduceResponseTopic{Name: rapid.StringN(0, 200, 249).Draw(t, "name")}
				copy(topic.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
				wt := kmsg.NewProduceResponseTopic()
				wt.Topic, wt.TopicID = topic.Name, topic.ID
				for range rapid.IntRange(0, 3).Draw(t, "partitions") {
					p, wp := drawProduced(t)
					topic.Partitions = append(topic.Partitions, p)
					wt.Partitions = append(wt.Partitions, wp)
				}
				r.Topics = append(r.Topics, topic)
				want.Topics = append(want.Topics, wt)
			}
			for range rapid.IntRange(0, 2).Draw(t, "endpoints") {
				if version < produceLeaders {
					break // kmsg writes them into versions that do not have them
				}
				n := NodeEndpoint{ID: 4, Host: "host", Port: 9092, Rack: drawText(t, "rack")}
				b := kmsg.NewProduceResponseBroker()
				b.NodeID, b.Host, b.Port, b.Rack = 4, n.Host, n.Port, n.Rack
				r.Endpoints = append(r.Endpoints, n)
				want.Brokers = append(want.Brokers, b)
			}
			if version < produceLeaders {
				for i := range want.Topics {
					for j := range want.Topics[i].Partitions {
						want.Topics[i].Partitions[j].CurrentLeader.Default()
					}
				}
			}
			got, frame := AppendProduceResponse([]byte("dst"), 6, r), AppendResponse([]byte("dst"), 6, want)
			if !bytes.Equal(got, frame) {
				t.Fatalf("version %d:\n%x, want\n%x", version, got, frame)
			}
		})
	}
}

func drawProduced(t *rapid.T) (ProduceResponsePartition, kmsg.ProduceResponseTopicPartition) {
	p := ProduceResponsePartition{
		Partition:       rapid.Int32().Draw(t, "partition"),
		ErrorCode:       rapid.Int16().Draw(t, "error"),
		BaseOffset:      model.Offset(rapid.Int64().Draw(t, "base")),
		LogAppendTimeMs: rapid.Int64().Draw(t, "time"),
		LogStartOffset:  model.Offset(rapid.Int64().Draw(t, "start")),
		ErrorMessage:    drawText(t, "message"),
	}
	k := kmsg.NewProduceResponseTopicPartition()
	k.Partition, k.ErrorCode, k.ErrorMessage = p.Partition, p.ErrorCode, p.ErrorMessage
	k.BaseOffset, k.LogAppendTime, k.LogStartOffset = int64(p.BaseOffset), p.LogAppendTimeMs, int64(p.LogStartOffset)
	for range rapid.IntRange(0, 2).Draw(t, "record errors") {
		e := ProduceRecordError{Index: rapid.Int32().Draw(t, "index"), Message: drawText(t, "record message")}
		p.RecordErrors = append(p.RecordErrors, e)
		ke := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		ke.RelativeOffset, ke.ErrorMessage = e.Index, e.Message
		k.ErrorRecords = append(k.ErrorRecords, ke)
	}
	if rapid.Bool().Draw(t, "moved") {
		p.CurrentLeader = &CurrentLeader{ID: 3, Epoch: model.LeaderEpoch(rapid.Int32Range(0, 9).Draw(t, "epoch"))}
		k.CurrentLeader.LeaderID, k.CurrentLeader.LeaderEpoch = 3, int32(p.CurrentLeader.Epoch)
	}
	return p, k
}

func BenchmarkAppendProduceResponse(b *testing.B) {
	r := &ProduceResponse{Version: 11, Topics: []ProduceResponseTopic{{Name: "topic-of-usual-length", Partitions: make([]ProduceResponsePartition, 1)}}}
	b.Run("chronik", func(b *testing.B) {
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			dst = AppendProduceResponse(dst[:0], 1, r)
		}
	})
	b.Run("kmsg", func(b *testing.B) {
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = 11
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = "topic-of-usual-length"
		topic.Partitions = append(topic.Partitions, kmsg.NewProduceResponseTopicPartition())
		resp.Topics = append(resp.Topics, topic)
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			dst = AppendResponse(dst[:0], 1, resp)
		}
	})
}
