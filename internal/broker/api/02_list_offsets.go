package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// ListOffsets (2), versions 1 to 11: an offset by timestamp or by place. Version 4 adds leader epochs, 5 what a new
// leader does not know yet (KIP-207), 7 the maximum timestamp (KIP-734), 8 to 11 the places of tiered storage. Only the leader answers.
func (b *Broker) listOffsets(_ context.Context, _ *server.Request, req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := kmsg.NewPtrListOffsetsResponse()
	named := make(map[model.TopicPartition]int)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			named[model.TopicPartition{Topic: t.Topic, Partition: p.Partition}]++
		}
	}
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := model.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			out.Partitions = append(out.Partitions, b.listOffset(tp, p, req, named[tp] > 1))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) listOffset(tp model.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, req *kmsg.ListOffsetsRequest, twice bool) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition = p.Partition
	at, err := b.findOffset(tp, p, req, twice)
	if err != nil {
		out.ErrorCode = listOffsetsCode(err, req.Version)
		return out
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = int64(at.Offset), at.Timestamp, int32(at.Epoch)
	return out
}

func (b *Broker) findOffset(tp model.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, req *kmsg.ListOffsetsRequest, twice bool) (replica.Position, error) {
	if twice {
		return replica.Position{}, errInvalidRequest // Kafka refuses a partition that is named twice, wherever it is named
	}
	if p.Timestamp < 0 {
		if since, ok := placesSince[p.Timestamp]; !ok || req.Version < since {
			return replica.Position{}, errUnsupportedVersion
		}
	}
	r, err := b.partition(tp)
	if err != nil {
		return replica.Position{}, err
	}
	return r.Find(p.Timestamp, req.IsolationLevel == isolationCommitted, model.LeaderEpoch(p.CurrentLeaderEpoch))
}

// offsetNotAvailable is the first version whose clients know that a new leader has to find the high watermark first (KIP-207).
const offsetNotAvailable = 5

func listOffsetsCode(err error, version int16) int16 {
	if version < offsetNotAvailable && errors.Is(err, replica.ErrOffsetNotAvailable) {
		err = errNoLeader // what older clients wait for in the same way
	}
	return Code(err)
}

// placesSince has the version from which on each negative timestamp means a place in the log.
var placesSince = map[int64]int16{
	replica.TimestampLatest: 1, replica.TimestampEarliest: 1, replica.TimestampMax: 7,
	replica.TimestampEarliestLocal: 8, replica.TimestampLatestTiered: 9, replica.TimestampPendingUpload: 11,
}
