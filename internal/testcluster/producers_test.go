package testcluster_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/testcluster"
)

// TestProducersOfEachReplica: kafka-transactions looks for hanging transactions broker by broker, in all replicas that one has (KIP-664).
func TestProducersOfEachReplica(t *testing.T) {
	onCluster(t, 4, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		produce(t, cl, 0, 3)
		producer, _, err := cl.ProducerID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { return *t.Topic == topic })
		replicas := m.Topics[i].Partitions[0].Replicas
		for id := int32(1); id <= 4; id++ {
			req := kmsg.NewPtrDescribeProducersRequest()
			req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
			answer, err := cl.Broker(int(id)).Request(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			got := answer.(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0]
			if !slices.Contains(replicas, id) {
				if got.ErrorCode != kerr.NotLeaderForPartition.Code {
					t.Errorf("broker %d, which has no replica, answers %+v", id, got)
				}
				continue
			}
			if got.ErrorCode != 0 || len(got.ActiveProducers) != 1 || got.ActiveProducers[0].ProducerID != producer || got.ActiveProducers[0].LastSequence != 2 {
				t.Errorf("broker %d answers %+v, want producer %d with sequence 2", id, got, producer)
			}
		}
	})
}
