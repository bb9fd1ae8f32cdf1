package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/replica"
)

// DescribeLogDirs (35), versions 1 to 5: what each data directory holds. Sizes are data, not the zeroed space
// that is kept ahead of it. Version 4 adds the disk's size and free bytes (KIP-827), 5 cordoning (KIP-1066).
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
	for r := range b.Replicas.All {
		tp := r.Partition()
		if r.Dir() != dir || asked != nil && !slices.ContainsFunc(asked, func(t kmsg.DescribeLogDirsRequestTopic) bool {
			return t.Topic == tp.Topic && slices.Contains(t.Partitions, tp.Partition)
		}) {
			continue
		}
		l, err := r.Log()
		if err != nil {
			continue // an offline partition has no size to tell; its errors are told where it is used
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size = tp.Partition, l.Size()
		byTopic[tp.Topic] = append(byTopic[tp.Topic], p)
	}
	out := make([]kmsg.DescribeLogDirsResponseDirTopic, 0, len(byTopic))
	for topic, parts := range byTopic {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic, t.Partitions = topic, parts
		out = append(out, t)
	}
	return out
}
