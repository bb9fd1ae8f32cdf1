package api

import (
	"context"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// DescribeTopicPartitions (75), version 0: topics page by page, so that an answer stays small however many
// partitions there are (KIP-966). No topic named means all. It never creates one.
func (b *Broker) describeTopicPartitions(_ context.Context, r *server.Request, req *kmsg.DescribeTopicPartitionsRequest) *kmsg.DescribeTopicPartitionsResponse {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	im := b.image()
	v := b.view(im, r.Conn.Listener(), math.MaxInt16)
	left := int(max(min(req.ResponsePartitionLimit, b.Config().RequestPartitionsLimit), 1))
	from := int32(0)
	names := pageNames(im, req)
	if c := req.Cursor; c != nil {
		if c.Partition < 0 || len(req.Topics) > 0 && !slices.Contains(names, c.Topic) {
			return refusePages(resp, names)
		}
		names = names[firstAtOrAfter(names, c.Topic):]
		from = c.Partition
	}
	for _, name := range names {
		if c := req.Cursor; c != nil && c.Topic != name {
			from = 0 // the topic of the cursor is gone: go on with the next from its beginning
		}
		if left == 0 {
			resp.NextCursor = cursor(name, from)
			return resp
		}
		t, next := describeTopic(v, name, from, left)
		resp.Topics = append(resp.Topics, t)
		left -= len(t.Partitions)
		if next >= 0 {
			resp.NextCursor = cursor(name, next)
			return resp
		}
		from = 0
	}
	return resp
}

// pageNames are the topics asked for, sorted and each once: the order in which pages go.
func pageNames(im *image.Image, req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(names) == 0 {
		for t := range im.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refusePages answers a cursor that no answer can have given out. The response has room for errors of topics only.
func refusePages(resp *kmsg.DescribeTopicPartitionsResponse, names []string) *kmsg.DescribeTopicPartitionsResponse {
	for _, name := range names {
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic, out.ErrorCode = &name, Code(errInvalidRequest)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func firstAtOrAfter(names []string, name string) int {
	i, _ := slices.BinarySearch(names, name)
	return i
}

func cursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

// describeTopic describes at most limit partitions from one on; next is where to go on, -1 if nothing is left.
func describeTopic(v view, name string, from int32, limit int) (out kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	out = kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic = &name
	t := v.im.Topic(name)
	if t == nil {
		err := errUnknownTopic
		if model.CheckTopicName(name) != nil {
			err = model.ErrBadTopicName
		}
		out.ErrorCode = Code(err)
		return out, -1
	}
	out.TopicID, out.IsInternal, out.AuthorizedOperations = t.ID, isInternal(name), topicOperations
	for n := max(from, 0); int(n) < len(t.Partitions); n++ {
		if len(out.Partitions) == limit {
			return out, n
		}
		p := t.Partitions[n]
		d := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		leader, err := v.leader(p)
		d.Partition, d.LeaderID, d.LeaderEpoch, d.ErrorCode = n, int32(leader), int32(p.LeaderEpoch), Code(err)
		d.Replicas, d.ISR, d.OfflineReplicas = model.Int32s(p.Replicas), model.Int32s(p.ISR), v.offline(p)
		d.EligibleLeaderReplicas, d.LastKnownELR = model.Int32s(p.ELR), []int32{}
		if p.LastKnownLeader != model.NoBroker {
			d.LastKnownELR = append(d.LastKnownELR, int32(p.LastKnownLeader))
		}
		out.Partitions = append(out.Partitions, d)
	}
	return out, -1
}
