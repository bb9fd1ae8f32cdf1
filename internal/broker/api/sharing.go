package api

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/server"
	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/broker/sharing"
	"chronik/internal/coordinator/share"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// Sharing is the partitions that this broker leads, as share groups read them (KIP-932).
type Sharing interface {
	Fetch(context.Context, sharing.FetchRequest) (*sharing.Answer, error)
	Acknowledge(context.Context, sharesession.Key, int32, []sharing.Acknowledgement) ([]sharing.Outcome, error)
	Disconnect(sharesession.Connection)
	LockDuration(group string) time.Duration
}

// noSharing serves no share group.
type noSharing struct{}

func (noSharing) Fetch(context.Context, sharing.FetchRequest) (*sharing.Answer, error) {
	return nil, errUnsupportedVersion
}

func (noSharing) Acknowledge(context.Context, sharesession.Key, int32, []sharing.Acknowledgement) ([]sharing.Outcome, error) {
	return nil, errUnsupportedVersion
}

func (noSharing) Disconnect(sharesession.Connection)       {}
func (noSharing) LockDuration(string) (none time.Duration) { return none }

// longestMemberID is how many UTF-16 code units the ID of a share group's member has at most: it is a UUID as text.
const longestMemberID = 36

// shareMember is who a request says that it is of.
func shareMember(group, member *string) (sharesession.Key, error) {
	if group == nil || member == nil || *member == "" || len(utf16.Encode([]rune(*member))) > longestMemberID {
		return sharesession.Key{}, errInvalidRequest
	}
	return sharesession.Key{Group: *group, Member: *member}, nil
}

// shareConnections counts the connections that have or had share sessions.
var shareConnections atomic.Uint64

// shareConnectionKey is under what a connection keeps its number.
type shareConnectionKey struct{}

// shareConnection is the number of a connection. When the connection ends, so do its sessions.
func (b *Broker) shareConnection(c *server.Conn) sharesession.Connection {
	if n, ok := c.Value(shareConnectionKey{}).(sharesession.Connection); ok {
		return n
	}
	n := sharesession.Connection(shareConnections.Add(1))
	c.SetValue(shareConnectionKey{}, n)
	context.AfterFunc(c.Context(), func() { b.Sharing.Disconnect(n) })
	return n
}

// shareLead finds a partition that this broker leads.
func (b *Broker) shareLead(p sharesession.Partition) (sharing.Leadership, error) {
	t := b.image().TopicByID(p.TopicID)
	switch {
	case t == nil:
		return sharing.Leadership{}, errUnknownTopicID
	case p.Partition < 0 || int(p.Partition) >= len(t.Partitions):
		return sharing.Leadership{}, errUnknownTopic
	}
	r, err := b.partition(model.TopicPartition{Topic: t.Name, Partition: p.Partition})
	if err != nil {
		return sharing.Leadership{}, err
	}
	epoch := t.Partitions[p.Partition].LeaderEpoch
	if err := r.Leads(epoch); err != nil {
		return sharing.Leadership{}, err
	}
	return sharing.Leadership{Replica: r, Epoch: epoch}, nil
}

// ackRule is what acknowledgements may say.
type ackRule struct {
	most   sharepartition.AckType // the largest type that there is
	renews bool                   // the request has announced that it renews
}

// mostAck is the largest type of acknowledgements of a version.
func mostAck(version int16) sharepartition.AckType {
	if version >= shareRenews {
		return sharepartition.Renew
	}
	return sharepartition.Reject
}

func ackBatch(first, last int64, types []int8) sharepartition.AckBatch {
	b := sharepartition.AckBatch{First: model.Offset(first), Last: model.Offset(last), Types: make([]sharepartition.AckType, len(types))}
	for i, t := range types {
		b.Types[i] = sharepartition.AckType(t)
	}
	return b
}

// judged refuses what this broker, this version or the request itself does not allow. What the records say to it comes later.
func (b *Broker) judged(a sharing.Acknowledgement, rule ackRule) sharing.Acknowledgement {
	if b.image().TopicByID(a.Partition.TopicID) == nil {
		a.Err = errUnknownTopicID
		return a
	}
	before := model.NoOffset
	for _, x := range a.Batches {
		n := model.Offset(len(x.Types))
		if x.First > x.Last || x.First < before || n == 0 || n > 1 && x.Last-x.First != n-1 {
			a.Err = errInvalidRequest
		}
		for _, t := range x.Types {
			if t < sharepartition.Gap || t > rule.most || t == sharepartition.Renew && !rule.renews {
				a.Err = errInvalidRequest
			}
		}
		before = x.Last
	}
	if _, err := b.shareLead(a.Partition); err != nil && a.Err == nil {
		a.Err = err
	}
	return a
}

// sharingCode is the Kafka error code of what serves share groups: members know no coordinators of share partitions, and are told what makes them look
// for the leader again.
func sharingCode(err error) int16 {
	switch {
	case errors.Is(err, share.ErrFencedLeaderEpoch), errors.Is(err, share.ErrFencedStateEpoch), errors.Is(err, replica.ErrFencedEpoch),
		errors.Is(err, replica.ErrUnknownEpoch):
		return kerr.NotLeaderForPartition.Code
	case errors.Is(err, share.ErrUninitialized), errors.Is(err, share.ErrInvalid):
		return kerr.UnknownServerError.Code
	}
	return groupless(Code(err))
}

// groupless is the code of a failure to reach a coordinator, as Kafka tells members of it.
func groupless(code int16) int16 {
	switch code {
	case kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code:
		return kerr.CoordinatorNotAvailable.Code
	}
	return code
}
