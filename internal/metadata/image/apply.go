package image

import (
	"errors"
	"fmt"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// ConflictError says that a batch does not fit the image: what it was decided on has changed since. Nothing of
// it took effect. Deciding again on the present image is right; every node sees the same conflict.
type ConflictError struct {
	Reason string
}

func (e *ConflictError) Error() string { return "the metadata changed in the meantime: " + e.Reason }

// IsConflict tells whether an error is, or wraps, a *ConflictError.
func IsConflict(err error) bool {
	var c *ConflictError
	return errors.As(err, &c)
}

func conflict(format string, args ...any) error {
	return &ConflictError{fmt.Sprintf(format, args...)}
}

// Apply returns the image after the batch at (term, index), and what changed. The index must be the next
// one: anything else is a fault of the log, not a conflict. The commands must have come through command.Decode or
// command.Encode. On a conflict (IsConflict) the returned image is m with
// the new index, and the Delta is empty; on any other error the image is nil and the caller must stop (M3).
func Apply(m *Image, commands []*command.Command, term, index uint64) (*Image, *Delta, error) {
	if index != m.index+1 || term < m.term {
		return nil, nil, fmt.Errorf("metadata log: entry (term %d, index %d) cannot follow (term %d, index %d)", term, index, m.term, m.index)
	}
	b := newBuilder(m, term, index)
	if err := b.applyAll(commands); err != nil {
		if !IsConflict(err) {
			return nil, nil, fmt.Errorf("metadata log: entry %d: %w", index, err)
		}
		same := *m
		same.term, same.index = term, index
		return &same, &Delta{}, err
	}
	im, d := b.done()
	return im, d, nil
}

// Preview returns the image that the commands would lead to as the first ones of the next entry, still at m's own
// index. Decisions that share an entry are made on each other's previews; a node that registers in one has
// the broker epoch that the entry will give it.
func Preview(m *Image, commands []*command.Command) (*Image, error) {
	if len(commands) == 0 {
		return m, nil
	}
	b := newBuilder(m, m.term, m.index+1)
	if err := b.applyAll(commands); err != nil {
		return nil, err
	}
	im, _ := b.done()
	im.index = m.index
	return im, nil
}

func (b *builder) applyAll(commands []*command.Command) error {
	for _, c := range commands {
		if err := b.apply(c); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) apply(c *command.Command) error {
	if v := command.VersionOf(c); v > b.im.MetadataVersion() {
		return conflict("%s is %d, and the command needs %d", command.MetadataVersion, b.im.MetadataVersion(), v)
	}
	switch k := c.GetKind().(type) {
	case *command.Command_AddNode:
		return b.addNode(k.AddNode)
	case *command.Command_FenceNode:
		return b.fenceNode(k.FenceNode)
	case *command.Command_RemoveNode:
		return b.removeNode(k.RemoveNode)
	case *command.Command_CreateTopic:
		return b.createTopic(k.CreateTopic)
	case *command.Command_DeleteTopic:
		return b.deleteTopic(model.TopicID(k.DeleteTopic.TopicId))
	case *command.Command_AssignPartitions:
		return b.assign(k.AssignPartitions)
	case *command.Command_SetPartitionLeader:
		return b.setLeader(k.SetPartitionLeader)
	case *command.Command_UpdateIsr:
		return b.updateISR(k.UpdateIsr)
	case *command.Command_SetConfig:
		return b.setConfig(k.SetConfig)
	case *command.Command_AllocateProducerIds:
		return b.allocate(k.AllocateProducerIds)
	case *command.Command_SetFeature:
		return b.setFeature(k.SetFeature)
	case *command.Command_StopNode:
		return b.stopNode(k.StopNode)
	case *command.Command_ChangePartitions:
		return b.changePartitions(k.ChangePartitions)
	}
	return fmt.Errorf("%w: command %T", command.ErrFormat, c.GetKind())
}
