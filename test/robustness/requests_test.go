package robustness

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// request frames a body with a header as the key and the version want it, as far as kmsg knows them.
func request(key, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(b, 0, 8, 'a', 't', 't', 'a', 'c', 'k', 'e', 'r')
	if r := kmsg.RequestForKey(key); r != nil {
		if r.SetVersion(version); r.IsFlexible() {
			b = append(b, 0)
		}
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// sensible makes a request that a client might send. Those that change something name trashTopic alone.
func sensible(rng *rand.Rand) kmsg.Request {
	var r kmsg.Request
	switch rng.IntN(9) {
	case 0:
		r = produceTrash(batch(rng, []byte("worthless")))
	case 1:
		r = produceTrash(noise(rng, rng.IntN(2000)))
	case 2:
		r = fetchTrash()
	case 3:
		list := kmsg.NewPtrListOffsetsRequest()
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: trashTopic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: rng.Int64()}}}}
		r = list
	case 4:
		meta := kmsg.NewPtrMetadataRequest()
		meta.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(string(noise(rng, rng.IntN(300))))}}
		r = meta
	case 5:
		del := kmsg.NewPtrDeleteRecordsRequest()
		del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: trashTopic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: rng.Int64N(1000) - 1}}}}
		r = del
	case 6:
		conf := kmsg.NewPtrDescribeConfigsRequest()
		conf.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: trashTopic}}
		r = conf
	case 7:
		r = kmsg.NewPtrInitProducerIDRequest()
	case 8:
		r = kmsg.NewPtrApiVersionsRequest()
	}
	r.SetVersion(int16(rng.IntN(int(r.MaxVersion()) + 1)))
	return r
}

func produceTrash(records []byte) *kmsg.ProduceRequest {
	p := kmsg.NewPtrProduceRequest()
	p.Acks, p.TimeoutMillis = 1, 1000
	p.Topics = []kmsg.ProduceRequestTopic{{Topic: trashTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: records}}}}
	return p
}

func fetchTrash() *kmsg.FetchRequest {
	f := kmsg.NewPtrFetchRequest()
	f.Version, f.MaxWaitMillis, f.MinBytes, f.MaxBytes = 11, 100, 1, 50<<20
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = 50 << 20
	f.Topics = []kmsg.FetchRequestTopic{{Topic: trashTopic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	return f
}

// batch makes a record batch of one record. Its checksum is right; now and then its header then says nonsense all the same.
func batch(rng *rand.Rand, value []byte) []byte {
	record := kmsg.Record{Value: value, Length: int32(7 + len(value))}
	b := kmsg.RecordBatch{Magic: 2, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, PartitionLeaderEpoch: -1, NumRecords: 1, Records: record.AppendTo(nil)}
	switch rng.IntN(6) {
	case 0:
		b.NumRecords = int32(rng.Uint32())
	case 1:
		b.Attributes = int16(rng.Uint32()) // compressed, transactional, a control batch
	case 2:
		b.LastOffsetDelta = int32(rng.Uint32())
	case 3:
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = rng.Int64(), int16(rng.Uint32()), int32(rng.Uint32())
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// damage turns bits, cuts, repeats or inserts.
func damage(rng *rand.Rand, b *[]byte) {
	if len(*b) == 0 {
		return
	}
	at := rng.IntN(len(*b))
	switch rng.IntN(5) {
	case 0:
		*b = (*b)[:at]
	case 1:
		*b = append(*b, (*b)[at:]...)
	case 2:
		*b = append((*b)[:at:at], append(noise(rng, 1+rng.IntN(16)), (*b)[at:]...)...)
	default:
		for range 1 + rng.IntN(4) {
			(*b)[rng.IntN(len(*b))] ^= 1 << rng.IntN(8)
		}
	}
}
