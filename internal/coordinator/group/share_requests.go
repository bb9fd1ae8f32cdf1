package group

import (
	"errors"
	"fmt"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/model"
)

// What requests about share groups are refused with, besides those of other groups.
var (
	// ErrUnknownPartition is Kafka's UNKNOWN_TOPIC_OR_PARTITION.
	ErrUnknownPartition = errors.New("there is no such topic or partition")
	// ErrNoShareOffsets is Kafka's UNKNOWN_TOPIC_OR_PARTITION.
	ErrNoShareOffsets = errors.New("the share group has no offsets of the topic")
	// ErrShareBusy is Kafka's COORDINATOR_LOAD_IN_PROGRESS: whoever asked asks again.
	ErrShareBusy = errors.New("partitions of the share group are begun or forgotten just now: ask again")
)

// ErrShareOffsets is what offsets' requests are told about share groups.
var ErrShareOffsets = fmt.Errorf("%w: it is a share group, which does not commit offsets", ErrGroupNotFound)

// shareAssignor is the name of the one assignor of share groups.
const shareAssignor = "simple"

// ShareHeartbeatRequest joins a share group, stays in it, or leaves it. What is nil is as the member said before.
type ShareHeartbeatRequest struct {
	Group                string
	Member               string // that the client has made up
	Epoch                int32  // JoinEpoch, LeaveEpoch, or the last one that it was told
	Rack                 *string
	Topics               []string
	ClientID, ClientHost string
}

// ShareHeartbeatReply tells a member its epoch, and what it is to have if that has changed or it asked for everything.
type ShareHeartbeatReply = ConsumerHeartbeatReply

// ShareDescription is a group as ShareGroupDescribe shows it: Assignor is the one that there is, and members have no targets of their own.
type ShareDescription = ConsumerDescription

// AlterShareOffsetsRequest says where a share group without members is to go on. A group that does not exist is made.
type AlterShareOffsetsRequest struct {
	Group   string
	Offsets []ShareOffset
}

// ShareOffset is where a partition is to be read from.
type ShareOffset struct {
	model.TopicPartition
	Offset model.Offset
}

// AlterShareOffsetsReply has the request's partitions in their order, or an error for all.
type AlterShareOffsetsReply struct {
	Err     error
	Offsets []ShareTopicReply
}

// DeleteShareOffsetsRequest has a share group without members forget what it has done with topics.
type DeleteShareOffsetsRequest struct {
	Group  string
	Topics []string
}

// DeleteShareOffsetsReply has the request's topics in their order, or an error for all.
type DeleteShareOffsetsReply struct {
	Err    error
	Topics []ShareTopicReply
}

// ShareTopicReply is what became of a topic or a partition of it.
type ShareTopicReply struct {
	TopicID model.TopicID // zero: there is no such topic
	Err     error
}

// ShareCall is an effect: partitions are to begin for a share group, or to be forgotten, by the coordinators of __share_group_state. Who runs
// the shard takes what has become of it to ShareAnswered, always and once: that nobody could be asked is an answer as well. Nothing else about
// the group begins until then.
type ShareCall struct {
	Group      string
	Delete     bool
	StateEpoch int32 // to begin with: larger than those of earlier calls, so that one of these which comes late is fenced off
	Partitions []SharePartition

	from model.Offset                              // where its records are
	then func(d *decision, g *group, errs []error) // the decision when there is an answer
	fail func(error)                               // answers who waits; nil: nobody does
}

// SharePartition is a partition of a call.
type SharePartition struct {
	Topic     model.TopicID
	Partition int32
	Start     model.Offset // to begin at; model.NoOffset: as the group's share.auto.offset.reset says
}

// failure is the first error of a call.
func (m *Machine) failure(c *ShareCall, errs []error) error {
	_, failed := m.split(c, errs)
	for i, p := range c.Partitions {
		if failed.Contains(p.Topic, p.Partition) {
			return errs[i]
		}
	}
	return nil
}

// split tells partitions for which a call has done what it should from the others. Of topics that are gone there is nothing left to be done.
func (m *Machine) split(c *ShareCall, errs []error) (done, failed assign.Partitions) {
	var all [2][]assign.TopicPartitions
	for i, p := range c.Partitions {
		to := 0
		if i < len(errs) && errs[i] != nil && m.image.TopicByID(p.Topic) != nil {
			to = 1
		}
		all[to] = append(all[to], assign.TopicPartitions{Topic: p.Topic, Partitions: []int32{p.Partition}})
	}
	return assign.Of(all[0]), assign.Of(all[1])
}
