package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameProduce says where a decoded request differs from kmsg's, "" if nowhere.
func sameProduce(got *ProduceRequest, want *kmsg.ProduceRequest) string {
	if got.Version != want.Version || got.Acks != want.Acks || got.TimeoutMs != want.TimeoutMillis || got.IsTransactional != (want.TransactionID != nil) {
		return "header"
	}
	if want.TransactionID != nil && got.TransactionalID != *want.TransactionID {
		return "transactional ID"
	}
	if len(got.Topics) != len(want.Topics) {
		return "number of topics"
	}
	for i, t := range want.Topics {
		g := got.Topics[i]
		if g.Name != t.Topic || g.ID != t.TopicID || len(g.Partitions) != len(t.Partitions) {
			return "topic"
		}
		for j, p := range t.Partitions {
			q := g.Partitions[j]
			if q.Partition != p.Partition || (q.Records == nil) != (p.Records == nil) || !bytes.Equal(q.Records, p.Records) {
				return "partition"
			}
		}
	}
	return ""
}

// onlyOf removes what a version does not carry, as kmsg does when it encodes.
func onlyOf(version int16, req *kmsg.ProduceRequest) {
	if version < produceTransactional {
		req.TransactionID = nil
	}
	for i := range req.Topics {
		if version >= produceTopicIDs {
			req.Topics[i].Topic = ""
		} else {
			req.Topics[i].TopicID = [16]byte{}
		}
	}
}

func TestProduceDecodesAsKmsgDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var got ProduceRequest // used again, as a connection does
	var in Interner
	for version := int16(0); version <= produceMaxVersion; version++ {
		for i := range 200 {
			want := filled(r, KeyProduce, version).(*kmsg.ProduceRequest)
			if i%3 == 0 {
				want.TransactionID = nil
			}
			if i%5 == 0 && len(want.Topics) > 0 && len(want.Topics[0].Partitions) > 0 {
				want.Topics[0].Partitions[0].Records = nil
			}
			body := want.AppendTo(nil)
			onlyOf(version, want)
			if err := got.Decode(version, body, &in); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			if diff := sameProduce(&got, want); diff != "" {
				t.Fatalf("version %d: %s differs: %+v, want %+v", version, diff, got, want)
			}
			for n := range body {
				if err := got.Decode(version, body[:n], &in); !errors.Is(err, ErrMalformed) || len(got.Topics) != 0 {
					t.Fatalf("version %d, %d of %d bytes: %v, want ErrMalformed", version, n, len(body), err)
				}
			}
		}
	}
}

func TestProduceRefusesVersionsItDoesNotKnow(t *testing.T) {
	if top := kmsg.NewPtrProduceRequest().MaxVersion(); top != produceMaxVersion || MustFull(KeyProduce).Max != top {
		t.Errorf("kmsg knows Produce up to %d, this package up to %d", top, produceMaxVersion)
	}
	var p ProduceRequest
	for _, v := range []int16{-1, produceMaxVersion + 1} {
		if err := p.Decode(v, nil, nil); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

// oneBatch is a Produce request of one record batch of n bytes.
func oneBatch(version int16, n int) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version = version
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic = "topic-of-usual-length"
	part.Records = bytes.Repeat([]byte{1}, n)
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	return req.AppendTo(nil)
}

func TestProduceRecordsAliasTheFrameUntilReset(t *testing.T) {
	body := oneBatch(11, 50)
	var p ProduceRequest
	if err := p.Decode(11, body, nil); err != nil {
		t.Fatal(err)
	}
	p.Topics[0].Partitions[0].Records[0] = 99
	if !bytes.Contains(body, []byte{99, 1, 1}) {
		t.Error("the records are a copy")
	}
	parts := p.Topics[0].Partitions
	if p.Reset(); parts[0].Records != nil || !reflect.DeepEqual(p.Topics, []ProduceTopic{}) {
		t.Error("Reset keeps the frame alive")
	}
}

func TestProduceDecodeDoesNotAllocate(t *testing.T) {
	body := oneBatch(11, 300)
	var p ProduceRequest
	var in Interner
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Decode(11, body, &in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkDecodeProduce(b *testing.B) {
	body := oneBatch(11, 300)
	b.Run("chronik", func(b *testing.B) {
		var p ProduceRequest
		var in Interner
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Decode(11, body, &in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("kmsg", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := kmsg.NewPtrProduceRequest()
			p.Version = 11
			if err := p.ReadFrom(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
