package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
)

// fetchPart is one partition of a fetch. Epochs are shifted by one so that zero means "not said".
type fetchPart struct {
	topic     string
	id        model.TopicID
	partition int32
	offset    int64
	maxBytes  int32 // 0: 1 MiB
	epoch     int32 // the leader epoch that the client believes in, plus 1
	last      int32 // the epoch of its last record, plus 1
}

// fetchRequest makes a request without a session that does not wait.
func fetchRequest(parts ...fetchPart) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 50<<20, 1, 0
	req.SessionEpoch = -1
	for _, p := range parts {
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = p.topic, p.id
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = p.partition, p.offset, p.maxBytes
		if fp.PartitionMaxBytes == 0 {
			fp.PartitionMaxBytes = 1 << 20
		}
		fp.CurrentLeaderEpoch, fp.LastFetchedEpoch = p.epoch-1, p.last-1
		t.Partitions = append(t.Partitions, fp)
		req.Topics = append(req.Topics, t)
	}
	return req
}

// fetchOne fetches one partition and returns its answer.
func fetchOne(t testing.TB, c *nodetest.Client, version int16, p fetchPart) kmsg.FetchResponseTopicPartition {
	t.Helper()
	resp := do[*kmsg.FetchResponse](c, version, fetchRequest(p))
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("fetch v%d answered %+v, want one partition", version, resp)
	}
	return resp.Topics[0].Partitions[0]
}
