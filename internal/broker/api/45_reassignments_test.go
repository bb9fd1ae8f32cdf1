package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

func TestAlterPartitionReassignments(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	for _, tc := range []struct {
		name      string
		topic     string
		partition int32
		replicas  []int32
		timeout   int32
		want      *kerr.Error
	}{
		{"to where it is", "t", 0, []int32{1}, 1000, nil},
		{"cancel what is not under way", "t", 0, nil, 1000, kerr.NoReassignmentInProgress},
		{"to a broker that is not there", "t", 0, []int32{1, 2}, 1000, kerr.InvalidReplicaAssignment},
		{"to nobody", "t", 0, []int32{}, 1000, kerr.InvalidReplicaAssignment},
		{"to one twice", "t", 0, []int32{1, 1}, 1000, kerr.InvalidReplicaAssignment},
		{"no such partition", "t", 1, []int32{1}, 1000, kerr.UnknownTopicOrPartition},
		{"no such topic", "none", 0, []int32{1}, 1000, kerr.UnknownTopicOrPartition},
		{"no time", "t", 0, []int32{1}, 0, kerr.RequestTimedOut},
	} {
		for v := int16(0); v <= 1; v++ {
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			req.TimeoutMillis = tc.timeout
			topic := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			topic.Topic = tc.topic
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			p.Partition, p.Replicas = tc.partition, tc.replicas
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			r := do[*kmsg.AlterPartitionAssignmentsResponse](c, v, req)
			wantCode(t, tc.name, r.Topics[0].Partitions[0].ErrorCode, tc.want)
			if (r.ErrorCode != 0) != (tc.timeout == 0) {
				t.Errorf("%s: the whole answer has the code %d", tc.name, r.ErrorCode)
			}
		}
	}
	list := do[*kmsg.ListPartitionReassignmentsResponse](c, 0, kmsg.NewPtrListPartitionReassignmentsRequest())
	if list.ErrorCode != 0 || len(list.Topics) != 0 {
		t.Errorf("nothing is under way, but %+v", list)
	}
}

func TestElectLeaders(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	for _, tc := range []struct {
		name  string
		kind  int8
		topic string
		since int16
		want  *kerr.Error
		whole *kerr.Error
	}{
		{"preferred", 0, "t", 0, kerr.ElectionNotNeeded, nil},
		{"unclean", 1, "t", 1, kerr.ElectionNotNeeded, nil},
		{"no such topic", 0, "none", 0, kerr.UnknownTopicOrPartition, nil},
		{"no such kind", 7, "t", 1, kerr.InvalidRequest, kerr.InvalidRequest},
	} {
		for v := tc.since; v <= 2; v++ {
			req := kmsg.NewPtrElectLeadersRequest()
			req.ElectionType = tc.kind
			topic := kmsg.NewElectLeadersRequestTopic()
			topic.Topic, topic.Partitions = tc.topic, []int32{0}
			req.Topics = append(req.Topics, topic)
			r := do[*kmsg.ElectLeadersResponse](c, v, req)
			wantCode(t, tc.name, r.Topics[0].Partitions[0].ErrorCode, tc.want)
			wantCode(t, tc.name+", as a whole", r.ErrorCode, tc.whole)
		}
	}
	for v := int16(0); v <= 2; v++ {
		if r := do[*kmsg.ElectLeadersResponse](c, v, kmsg.NewPtrElectLeadersRequest()); r.ErrorCode != 0 || len(r.Topics) != 0 {
			t.Errorf("wherever it is needed: %+v, want nothing", r)
		}
	}
}
