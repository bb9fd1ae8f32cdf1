package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Versions of OffsetCommit that say more.
const (
	commitNamesMissingGroup = 9 // GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION
	commitEpochs            = 9 // of members of the new protocols
	commitTopicIDs          = 10
)

// OffsetCommit (8), versions 2 to 10: stores offsets, of a member or of nobody. Versions up to 4 have a retention of their own, 6 leader
// epochs (KIP-320), 7 static members (KIP-345), 9 member epochs (KIP-848), 10 topic IDs (KIP-848).
//
// Offsets are stored by name, and with the ID that the topic has now, so that a topic that is deleted and created again has none (L5).
func (b *Broker) offsetCommit(ctx context.Context, _ *server.Request, req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	in := group.CommitRequest{
		Group: req.Group, Generation: req.Generation, Member: req.MemberID, Instance: req.InstanceID, RetentionMs: req.RetentionTimeMillis,
		Epochless: req.Version < commitEpochs,
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	im := b.image()
	var asked []*kmsg.OffsetCommitResponseTopicPartition // what in's offsets answer
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.OffsetCommitResponseTopic{
			Topic: t.Topic, TopicID: t.TopicID, Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions)),
		}
		topic, err := topicOf(im, t.Topic, t.TopicID, req.Version >= commitTopicIDs)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			out.Partitions[j] = kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition}
			if refusal := knows(topic, err, p.Partition); refusal != nil {
				out.Partitions[j].ErrorCode = Code(refusal)
				continue
			}
			in.Offsets = append(in.Offsets, commitOffset(topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata))
			asked = append(asked, &out.Partitions[j])
		}
		if len(t.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	if len(asked) == 0 {
		return resp
	}
	got, err := askGroup(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.CommitReply)) shard.Result {
		return m.Commit(now, in, reply)
	})
	err = firstOf(err, got.Err)
	for i, out := range asked {
		if err != nil {
			out.ErrorCode = commitCode(err, req.Version)
			continue
		}
		out.ErrorCode = commitCode(got.Offsets[i], req.Version)
	}
	return resp
}

// commitOffset is an offset of a topic's partition as it is stored.
func commitOffset(t *image.Topic, partition int32, offset int64, epoch int32, metadata *string) group.CommitOffset {
	o := group.CommitOffset{
		TopicPartition: model.TopicPartition{Topic: t.Name, Partition: partition}, TopicID: t.ID,
		Offset: model.Offset(offset), LeaderEpoch: model.LeaderEpoch(epoch),
	}
	if metadata != nil {
		o.Metadata = *metadata
	}
	return o
}

// commitCode tells members of a group that is gone what their version understands.
func commitCode(err error, version int16) int16 {
	if errors.Is(err, group.ErrGroupNotFound) && !errors.Is(err, group.ErrShareOffsets) && version < commitNamesMissingGroup {
		return kerr.IllegalGeneration.Code
	}
	return groupCode(err)
}

// topicOf finds the topic that a request means.
func topicOf(im *image.Image, name string, id model.TopicID, byID bool) (*image.Topic, error) {
	if byID {
		if t := im.TopicByID(id); t != nil {
			return t, nil
		}
		return nil, errUnknownTopicID
	}
	if t := im.Topic(name); t != nil {
		return t, nil
	}
	return nil, errUnknownTopic
}

// knows refuses a partition that a topic does not have; err is why there is no such topic.
func knows(t *image.Topic, err error, partition int32) error {
	switch {
	case err != nil:
		return err
	case partition < 0 || int(partition) >= len(t.Partitions):
		return errUnknownTopic
	}
	return nil
}
