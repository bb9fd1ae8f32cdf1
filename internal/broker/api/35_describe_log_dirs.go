package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// DescribeLogDirs (35), versions 1 to 5: what each data directory holds. Sizes are data, not the zeroed space
// that is kept ahead of it. A replica on its way to another directory is in both (KIP-113). Version 4 adds the disk's size and free bytes (KIP-827), 5 cordoning (KIP-1066).
func (b *Broker) describeLogDirs(_ context.Context, _ *server.Request, req *kmsg.DescribeLogDirsRequest) *kmsg.DescribeLogDirsResponse {
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	for _, d := range b.Replicas.Dirs() {
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir = d.Name
		var total, free uint64
		err := d.Err
		if err == nil {
			total, free, err = b.Space(d.Name)
		}
		if err != nil {
			dir.ErrorCode = Code(replica.ErrStorage)
		} else {
			dir.TotalBytes, dir.UsableBytes = int64(total), int64(free)
			dir.Topics = b.logDirTopics(d.Name, req.Topics)
		}
		resp.Dirs = append(resp.Dirs, dir)
	}
	return resp
}

// logDirTopics sizes the partitions in one directory that were asked for: all if topics is null.
func (b *Broker) logDirTopics(dir string, asked []kmsg.DescribeLogDirsRequestTopic) []kmsg.DescribeLogDirsResponseDirTopic {
	byTopic := make(map[string][]kmsg.DescribeLogDirsResponseDirTopicPartition)
	add := func(tp model.TopicPartition, size, lag int64, future bool) {
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = tp.Partition, size, lag, future
		byTopic[tp.Topic] = append(byTopic[tp.Topic], p)
	}
	for r := range b.Replicas.All {
		tp := r.Partition()
		if asked != nil && !slices.ContainsFunc(asked, func(t kmsg.DescribeLogDirsRequestTopic) bool {
			return t.Topic == tp.Topic && slices.Contains(t.Partitions, tp.Partition)
		}) {
			continue
		}
		if to, size, lag, ok := r.Moving(); ok && to == dir {
			add(tp, size, lag, true)
		}
		if l, err := r.Log(); err == nil && r.Dir() == dir { // an offline partition has no size to tell; its errors are told where it is used
			add(tp, l.Size(), 0, false)
		}
	}
	out := make([]kmsg.DescribeLogDirsResponseDirTopic, 0, len(byTopic))
	for topic, parts := range byTopic {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic, t.Partitions = topic, parts
		out = append(out, t)
	}
	return out
}
