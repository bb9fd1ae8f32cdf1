package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wire"
)

// AlterReplicaLogDirs (34), versions 1 and 2: has replicas of this broker moved to other data directories (KIP-113). The answer comes when
// that has begun; DescribeLogDirs shows how far it is. A partition of other brokers is REPLICA_NOT_AVAILABLE, and will lie in the directory if it comes.
func (b *Broker) alterReplicaLogDirs(_ context.Context, _ *server.Request, req *kmsg.AlterReplicaLogDirsRequest) *kmsg.AlterReplicaLogDirsResponse {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	topics := wire.NewByTopic(func(topic string) kmsg.AlterReplicaLogDirsResponseTopic {
		t := kmsg.NewAlterReplicaLogDirsResponseTopic()
		t.Topic = topic
		return t
	})
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			for _, n := range t.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = n, Code(b.move(model.TopicPartition{Topic: t.Topic, Partition: n}, d.Dir))
				out := topics.Of(t.Topic)
				out.Partitions = append(out.Partitions, p)
			}
		}
	}
	resp.Topics = topics.Topics()
	return resp
}

func (b *Broker) move(tp model.TopicPartition, dir string) error {
	err := b.Replicas.Move(tp, dir)
	if !errors.Is(err, replica.ErrNoReplica) {
		return err
	}
	if t := b.image().Topic(tp.Topic); t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return errUnknownTopic
	}
	return err
}
