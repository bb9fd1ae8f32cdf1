package api

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

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
//
// Commits of one connection are decided in their order, and wait together until they are safe: whoever learns of that answers. That is the caller itself if the
// request is alone: nothing else waits to be read.
func (b *Broker) offsetCommit(req *kmsg.OffsetCommitRequest, alone bool, slot replySlot) {
	in := group.CommitRequest{
		Group: req.Group, Generation: req.Generation, Member: req.MemberID, Instance: req.InstanceID, RetentionMs: req.RetentionTimeMillis,
		Epochless: req.Version < commitEpochs,
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	im := b.image()
	var c committing
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.OffsetCommitResponseTopic{
			Topic: t.Topic, TopicID: t.TopicID, Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions)),
		}
		topic, err := topicOf(im, t.Topic, t.TopicID, req.Version >= commitTopicIDs)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			out.Partitions[j] = kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition}
			c.add(topic, err, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, &out.Partitions[j].ErrorCode)
		}
		if len(t.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	if in.Offsets = c.offsets; len(in.Offsets) == 0 {
		slot.Send(versioned(resp, req))
		return
	}
	reply := func(got group.CommitReply, err error) {
		c.answer(got, err, func(err error) int16 { return commitCode(err, req.Version) })
		if firstOf(err, got.Err) != nil {
			slot.Detach() // the caller may be held up by the disk still
		}
		slot.Send(versioned(resp, req))
	}
	ask := b.Groups.Ask
	if alone {
		ask = b.Groups.Wait
	}
	ask(in.Group,
		func(m *group.Machine, now time.Time) shard.Result {
			return m.Commit(now, in, func(got group.CommitReply) { reply(got, nil) })
		},
		func(err error) { reply(group.CommitReply{}, err) })
}

// replySlot is a *server.Slot.
type replySlot interface {
	Send(kmsg.Response)
	Detach()
}

// committing is the offsets of a request that are to be committed, and where the answer to each belongs.
type committing struct {
	offsets []group.CommitOffset
	codes   []*int16
}

// add takes an offset of a topic's partition; err is why there is no such topic. What there is not is refused at once.
func (c *committing) add(t *image.Topic, err error, partition int32, offset int64, epoch int32, metadata *string, code *int16) {
	if err := knows(t, err, partition); err != nil {
		*code = Code(err)
		return
	}
	o := group.CommitOffset{
		TopicPartition: model.TopicPartition{Topic: t.Name, Partition: partition}, TopicID: t.ID,
		Offset: model.Offset(offset), LeaderEpoch: model.LeaderEpoch(epoch),
	}
	if metadata != nil {
		o.Metadata = *metadata
	}
	c.offsets, c.codes = append(c.offsets, o), append(c.codes, code)
}

// answer says what has become of the offsets, in the words of the request's version.
func (c *committing) answer(got group.CommitReply, err error, code func(error) int16) {
	err = firstOf(err, got.Err)
	for i, out := range c.codes {
		each := err
		if each == nil {
			each = got.Offsets[i]
		}
		*out = code(each)
	}
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
