package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/wait"
)

// Record is one record read back.
type Record struct {
	Offset     int64
	Key, Value []byte
}

// Source gives records back. Read returns the records of one partition from an offset on, in order, at
// least one, and about maxBytes of them; it fails rather than return none.
type Source interface {
	Read(ctx context.Context, partition int32, from int64, maxBytes int) ([]Record, error)
}

// topicSource reads with single Fetch requests: no session, no prefetch. One
// goroutine at a time may use it.
type topicSource struct {
	c       *Cluster
	t       Topic
	leaders kadm.PartitionDetails
}

// Source reads a topic back.
func (c *Cluster) Source(t Topic) Source { return &topicSource{c: c, t: t} }

func (s *topicSource) Read(ctx context.Context, partition int32, from int64, maxBytes int) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		records, err := s.fetch(ctx, partition, from, maxBytes)
		if err != nil && !kerr.IsRetriable(err) {
			return nil, explain(fmt.Sprintf("read back %s-%d at offset %d", s.t.Name, partition, from), err)
		}
		if len(records) > 0 {
			return records, nil
		}
		if perr := wait.For(ctx, 20*time.Millisecond); perr != nil {
			return nil, fmt.Errorf("read back %s-%d at offset %d: the broker returned no record there (last error: %v)", s.t.Name, partition, from, err)
		}
		s.leaders = nil
	}
}

func (s *topicSource) fetch(ctx context.Context, partition int32, from int64, maxBytes int) ([]Record, error) {
	leader, err := s.leader(ctx, partition)
	if err != nil {
		return nil, err
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, int32(maxBytes)
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = s.t.Name, s.t.ID, []kmsg.FetchRequestTopicPartition{p}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 100, 1, int32(maxBytes), -1
	req.Topics = []kmsg.FetchRequestTopic{t}

	resp, err := s.c.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	fetched := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, err
	}
	for i := range fetched.Topics {
		for j := range fetched.Topics[i].Partitions {
			got, _ := kgo.ProcessFetchPartition(
				kgo.ProcessFetchPartitionOpts{Offset: from, Topic: s.t.Name, Partition: partition},
				&fetched.Topics[i].Partitions[j], kgo.DefaultDecompressor(), nil)
			records := make([]Record, len(got.Records))
			for k, r := range got.Records {
				records[k] = Record{r.Offset, r.Key, r.Value}
			}
			return records, got.Err
		}
	}
	return nil, nil
}

// leader returns the broker that leads a partition, from the metadata asked for last.
func (s *topicSource) leader(ctx context.Context, partition int32) (int32, error) {
	if s.leaders == nil {
		m, err := s.c.adm.Metadata(ctx, s.t.Name)
		if err != nil {
			return -1, err
		}
		s.leaders = m.Topics[s.t.Name].Partitions
	}
	p, ok := s.leaders[partition]
	if !ok || p.Leader < 0 {
		return -1, kerr.LeaderNotAvailable
	}
	return p.Leader, nil
}
